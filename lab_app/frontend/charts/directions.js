// @ts-nocheck
// The panel that says which directions of W₀ the dominant ones of an edited matrix are.
import { escape, facets, figure, inLayer, lanesOf, layer, layerSwitch } from "./outside.js";
import { h } from "../shared/dom.js";
import { rowAt } from "../shared/feed.js";
import { colour, dash, marker } from "../shared/lanes.js";

const SIDES = { right: "inputs (v)", left: "outputs (u)" };

export const directions = {
  choices: { side: "right" },
  options: (model, { state }) => [
    { name: "side", label: "Side", chosen: state.side, values: Object.entries(SIDES) },
    layerSwitch(model),
  ],
  draw(model, view, box, { state }) {
    const number = layer(model),
      { margin, domains } = facets(2, box, { gap: 46 }),
      traces = [];
    const lanes = lanesOf(model).map(([lane, rows]) => [lane, inLayer(rowAt(rows), "layers", number)]);
    for (const [lane, found] of lanes) {
      if (!found) continue;
      const side = found[state.side],
        looks = {
          type: "scatter",
          mode: "lines+markers",
          lane,
          line: { color: colour(lane), width: 1.5, dash: dash(lane) },
          marker: { color: colour(lane), symbol: marker(lane), size: 4.5 },
        };
      const says = (name) => `${escape(lane)}<br>${name} = %{x}<br><b>%{y:.3f}</b><extra></extra>`;
      traces.push({ ...looks, x: side.j, y: side.first, hovertemplate: says("j") });
      traces.push({ ...looks, x: found.i, y: side.most, xaxis: "x2", yaxis: "y2", hovertemplate: says("i") });
    }
    const best = (found) => {
      if (!found) return null;
      const { j, first } = found[state.side];
      return j[first.indexOf(Math.max(...first))];
    };
    const logs = { type: "log", tickvals: [1, 10, 100, 1000, 10000], ticktext: ["1", "10", "100", "1,000", "10,000"] };
    return {
      traces,
      revision: `${number} ${state.side}`,
      numbers: [
        h(
          "div",
          { class: "number" },
          h("span", { class: "name" }, "The first direction is nearest to j"),
          h(
            "span",
            { class: "values" },
            lanes.map(([lane, found]) => figure(lane, String(best(found) ?? "–"), "direction of W₀")),
          ),
        ),
      ],
      layout: {
        margin,
        xaxis: { ...logs, domain: domains[0], title: { text: "direction j of W₀", standoff: 4 } },
        xaxis2: { ...logs, domain: domains[1], anchor: "y2", title: { text: "direction i of Wₜ", standoff: 4 } },
        yaxis: { range: [-0.03, 1.03], nticks: 5 },
        yaxis2: { anchor: "x2", range: [-0.03, 1.03], nticks: 5 },
      },
    };
  },
  table(model, view, { state }) {
    const number = layer(model),
      rows = [];
    for (const [lane, all] of lanesOf(model)) {
      const row = rowAt(all),
        found = inLayer(row, "layers", number);
      if (!found) continue;
      const side = found[state.side];
      side.j.forEach((j, at) => rows.push([lane, row.round, number, state.side, 1, j, side.first[at]]));
      found.i.forEach((i, at) => rows.push([lane, row.round, number, state.side, i, "best", side.most[at]]));
    }
    return { columns: ["lane", "round", "layer", "side", "i", "j", "SS"], rows };
  },
};
