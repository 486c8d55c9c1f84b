// @ts-nocheck
// The map of representations: measured with each round by PCA, by t-SNE and UMAP when somebody asks.
import { anchor, axisName, escape, facets, lanesOf } from "./outside.js";
import { css, h } from "../shared/dom.js";
import { byLane, rowAt } from "../shared/feed.js";
import { colour, marker } from "../shared/lanes.js";
import { view } from "../shared/state.js";

/** A lane's map at the round looked at: the one measured with it, or one that was asked for (t-SNE, UMAP). */
function mapOf(lane, rows, { props, state }) {
  const row = rowAt(rows);
  if (state.method === "pca") return row;
  const asked = (props.asked?.maps || []).find(
    (found) => found.lane === lane && found.method === state.method && found.round === row?.round,
  );
  return asked || null;
}
export const map = {
  choices: { method: "pca" },
  extra: "asked",
  options: (model, { state }) => [
    {
      name: "method",
      label: "Projection",
      chosen: state.method,
      values: [
        ["pca", "PCA"],
        ["tsne", "t-SNE"],
        ["umap", "UMAP"],
      ],
    },
  ],
  choose(name, value, context) {
    context.state.method = value;
    const missing =
      value !== "pca" && lanesOf(context.model || byLane([])).some(([lane, rows]) => !mapOf(lane, rows, context));
    if (missing) context.trigger("map", { method: value, round: view.round });
    context.redraw();
    return true;
  },
  draw(model, view, box, context) {
    context.model = model;
    const lanes = lanesOf(model),
      { margin, domains } = facets(Math.max(1, lanes.length), box, { left: 10, right: 10, gap: 18 });
    const traces = [],
      layout = { margin: { ...margin, t: 24, b: 10 }, annotations: [], height: box.wide ? 520 : 300 };
    const blank = {
      showticklabels: false,
      showgrid: false,
      zeroline: false,
      linecolor: css("--hair"),
      mirror: true,
      showline: true,
    };
    lanes.forEach(([lane, rows], i) => {
      const found = mapOf(lane, rows, context),
        names = { xaxis: anchor("x", i), yaxis: anchor("y", i) };
      layout[axisName("x", i)] = {
        ...blank,
        domain: domains[i],
        anchor: anchor("y", i),
        matches: i ? "x" : undefined,
      };
      layout[axisName("y", i)] = { ...blank, anchor: anchor("x", i), matches: i ? "y" : undefined };
      layout.annotations.push({
        text: escape(lane) + (found ? "" : " · not drawn yet"),
        xref: "paper",
        yref: "paper",
        x: domains[i][0],
        y: 1,
        yshift: 2,
        xanchor: "left",
        yanchor: "bottom",
        showarrow: false,
        font: { color: colour(lane), size: box.wide ? 15 : 13 },
      });
      if (!found) return;
      const step = { x: [], y: [] };
      found.x.forEach((x, j) => {
        step.x.push(found.x0[j], x, null);
        step.y.push(found.y0[j], found.y[j], null);
      });
      traces.push(
        {
          type: "scatter",
          mode: "lines",
          ...step,
          ...names,
          line: { color: colour(lane), width: 1 },
          opacity: 0.35,
          hoverinfo: "skip",
        },
        {
          type: "scatter",
          mode: "markers",
          x: found.x0,
          y: found.y0,
          ...names,
          hoverinfo: "skip",
          marker: { size: 5, color: "rgba(0,0,0,0)", line: { width: 1.2, color: css("--base") } },
        },
        {
          type: "scatter",
          mode: "markers",
          lane,
          facts: found.fact,
          x: found.x,
          y: found.y,
          ...names,
          text: found.fact.map((fact) => (fact < 0 ? "an unedited fact" : `fact ${fact + 1}`)),
          hovertemplate: "%{text}<extra></extra>",
          marker: {
            size: 6,
            symbol: marker(lane),
            color: found.fact.map((fact) => (fact < 0 ? css("--base") : colour(lane))),
          },
        },
      );
    });
    lanes.forEach(([lane, rows], i) => {
      const found = mapOf(lane, rows, context),
        here = (found?.fact || []).flatMap((fact, j) => (fact >= 0 && fact === view.fact ? [j] : []));
      if (!here.length) return; // the fact whose card was opened last wears a ring
      traces.push({
        type: "scatter",
        mode: "markers",
        x: here.map((j) => found.x[j]),
        y: here.map((j) => found.y[j]),
        xaxis: anchor("x", i),
        yaxis: anchor("y", i),
        hoverinfo: "skip",
        marker: { size: 15, symbol: "circle-open", color: css("--ink"), line: { width: 2.5 } },
      });
    });
    const waiting = context.props.asked?.message;
    return {
      traces,
      layout,
      revision: context.state.method,
      numbers: waiting ? [h("p", { class: "notice" }, waiting)] : [],
    };
  },
  table(model, view, context) {
    const rows = [];
    for (const [lane, all] of lanesOf(model)) {
      const found = mapOf(lane, all, context);
      found?.x.forEach((x, i) =>
        rows.push([lane, found.round, found.method, found.fact[i], found.x0[i], found.y0[i], x, found.y[i]]),
      );
    }
    return { columns: ["lane", "round", "method", "fact", "x_before", "y_before", "x", "y"], rows };
  },
};
