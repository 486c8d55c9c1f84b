// @ts-nocheck
// Is it worth it? What is said of the edits against what else was kept; the ruler reads lanes off at equal efficacy.
import { escape, figure, lanesOf } from "./outside.js";
import { css, h } from "../shared/dom.js";
import { colour, marker } from "../shared/lanes.js";
import * as ruler from "./ruler.js";
import * as sweep from "./sweep.js";

const KEPT = {
  unedited: ["unedited facts", "unedited facts still said, exact"],
  tasks: ["tasks", "mean task accuracy, the likeliest choice counts"],
  near: ["neighbours", "neighbours’ old answers still said, exact"],
};
const CONTROL = "star-open";
const whole = (share) => `${(100 * share).toFixed(1).replace(/\.0$/, "")} %`;

/** A lane's way: where it stood after each measured round from the first on. */
const way = (rows, kept) =>
  rows
    .filter((row) => row.round > 0 && row.said !== undefined && row[kept] !== undefined)
    .map((row) => ({ x: row.said, y: row[kept], round: row.round, edits: row.edits }));
const until = (points, round) => (round === null ? points : points.filter((point) => point.round <= round));

/** The highest share that every lane has reached, for a ruler that nobody has moved. */
function level(ways) {
  const tops = ways.filter(([, points]) => points.length).map(([, points]) => Math.max(...points.map(({ x }) => x)));
  return tops.length ? Math.floor(200 * Math.min(...tops) + 1e-9) / 200 : null;
}
/** From a round number below all values to a little over 1. */
function range(values) {
  const low = Math.min(0.9, ...values);
  return [Math.max(-0.02, Math.floor(20 * low - 0.2) / 20), 1.02];
}
/** The lanes of each family that are shown, where they stand at the round looked at. */
const lines = (model, ways) =>
  (model.start?.families || [])
    .map((family) => ({
      ...family,
      points: family.lanes.flatMap((lane, i) => {
        const last = ways.find(([name]) => name === lane)?.[1].at(-1);
        return last ? [{ ...last, value: family.values[i] }] : [];
      }),
    }))
    .filter(({ points }) => points.length > 1);

function readings(context) {
  const { at, ways, families, kept, box } = context.frontier;
  if (at === null) return box.replaceChildren();
  const reading = (points, says) => {
    const found = ruler.crossing(points, at);
    if (found) return h("td", {}, h("b", {}, whole(found.y)), h("span", {}, says(found)));
    if (!points.length) return h("td", {}, h("span", {}, "not measured yet"));
    const more = points.every(({ x }) => x > at);
    return h("td", {}, "never", h("span", {}, `always ${more ? "more" : "less"}`));
  };
  const row = (head, cells) => h("tr", {}, h("th", { scope: "row" }, head), cells);
  const mark = (lane) =>
    context.frontier.started?.controls?.[lane] ? h("i", { class: "control", title: "a control" }, "☆") : null;
  const edits = ({ edits, round }) =>
    `${Math.round(edits).toLocaleString("en")} edits, round ${Number(round.toFixed(1))}`;
  box.replaceChildren(
    h("caption", {}, "Where ", h("b", {}, whole(at)), ` of the edits are said, kept of ${KEPT[kept][0]}:`),
    h(
      "tbody",
      {},
      ways.map(([lane, points]) =>
        row(h("span", { class: "lane" }, figure(lane, lane, KEPT[kept][1]), mark(lane)), reading(points, edits)),
      ),
      families.map(({ field, points }) => {
        const values = points.map(({ value, ...point }) => ({ ...point, round: value }));
        return row(
          h("span", { class: "family" }, `over ${field}`),
          reading(values, (found) => `at ${Number(found.round.toPrecision(2))}, latest round`),
        );
      }),
    ),
  );
}

/** What stands in the panel besides its plot: the ruler's handle and the sweep, made once. */
function furnish(context) {
  const section = document.querySelector("#lab-panel-frontier .panel"),
    plot = section.querySelector(".plot");
  const form = sweep.form(
    () => context.frontier.started,
    (payload) => context.trigger("sweep", payload),
  );
  section.querySelector(".why").before(form.element);
  const place = ruler.handle(
    plot,
    () => context.frontier.at,
    (value) => {
      context.moved = value;
      context.frontier.at = value;
      readings(context);
      context.redraw();
    },
    (at) => `${whole(at)} of the edits said`,
  );
  let listening = false;
  context.furnished = () => {
    if (!listening && plot.on) {
      plot.on("plotly_afterplot", place);
      listening = true;
    }
    place();
    form.paint();
    if (context.props.asked !== context.answered) form.answered(context.props.asked);
    context.answered = context.props.asked;
  };
}

export const frontier = {
  choices: { kept: "unedited" },
  extra: "asked",
  options: (model, { state }) => [
    {
      name: "kept",
      label: "What was kept",
      chosen: state.kept,
      values: Object.entries(KEPT).map(([name, [label]]) => [name, label]),
    },
  ],
  draw(model, view, box, context) {
    const { kept } = context.state,
      all = lanesOf(model).map(([lane, rows]) => [lane, way(rows, kept)]),
      ways = all.map(([lane, points]) => [lane, until(points, view.round)]);
    const controls = model.start?.controls || {};
    if (context.run !== view.run) context.moved = undefined;
    context.run = view.run;
    const at = context.moved ?? level(ways),
      families = lines(model, ways),
      table = h("table", { class: "readings" });
    context.frontier = { at, ways, families, kept, box: table, started: model.start };
    readings(context);
    const before = lanesOf(model)
      .map(([, rows]) => rows.find((row) => row.round === 0)?.[kept])
      .find((value) => value !== undefined);
    const traces = families.map(({ field, points }) => ({
      type: "scatter",
      mode: "lines",
      x: points.map(({ x }) => x),
      y: points.map(({ y }) => y),
      line: { color: css("--muted"), width: 2, dash: "dot" },
      hoverinfo: "skip",
      name: field,
    }));
    for (const [lane, points] of all) {
      const last = until(points, view.round).at(-1);
      const size = (point) => (point === last ? (controls[lane] ? 17 : 14) : controls[lane] ? 8 : 5.5);
      traces.push({
        type: "scatter",
        mode: "lines+markers",
        lane,
        rounds: points.map(({ round }) => round),
        x: points.map(({ x }) => x),
        y: points.map(({ y }) => y),
        text: points.map(({ round, edits }) => `round ${round}, ${(edits ?? 0).toLocaleString("en")} edits`),
        line: { color: colour(lane), width: 1 },
        marker: {
          color: colour(lane),
          symbol: controls[lane] ? CONTROL : marker(lane),
          size: points.map(size),
          opacity: points.map(({ round }) => (last && round > last.round ? 0.25 : 1)),
          line: { width: controls[lane] ? 2 : 0, color: colour(lane) },
        },
        hovertemplate:
          `${escape(lane)}${controls[lane] ? ", a control" : ""}<br>%{text}<br>` +
          `said <b>%{x:.1%}</b>, kept <b>%{y:.1%}</b><extra></extra>`,
      });
    }
    const places = all.flatMap(([, points]) => points);
    const xs = range([...places.map(({ x }) => x), ...(at === null ? [] : [at])]),
      ys = range([...places.map(({ y }) => y), ...(before === undefined ? [] : [before])]);
    const rule = (place) => ({ type: "line", ...place, line: { color: css("--accent"), width: 2 } });
    const note = (place) => ({ showarrow: false, font: { color: css("--faint") }, ...place });
    const base = { color: css("--muted"), width: 1.5, dash: "dot" };
    requestAnimationFrame(() => context.furnished());
    if (!context.furnished) furnish(context);
    return {
      traces,
      revision: `${xs} ${ys}`,
      numbers: [table],
      layout: {
        height: box.wide ? 560 : box.width < 480 ? 300 : 340,
        margin: { l: 46, r: 14, t: 22, b: 40 },
        xaxis: { range: xs, tickformat: ".0%", nticks: 7, title: { text: "edits said, exact", standoff: 6 } },
        yaxis: { range: ys, tickformat: ".0%", nticks: 6 },
        shapes: [
          ...(at === null ? [] : [rule({ yref: "paper", x0: at, x1: at, y0: 0, y1: 1 })]),
          ...(before === undefined
            ? []
            : [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: before, y1: before, line: base, layer: "below" }]),
        ],
        annotations: [
          note({
            text: `kept: ${KEPT[kept][1]}`,
            xref: "paper",
            yref: "paper",
            x: 0,
            y: 1,
            yshift: 19,
            xanchor: "left",
          }),
          ...(before === undefined
            ? []
            : [note({ text: "unedited", xref: "paper", x: 0.01, y: before, yanchor: "top", xanchor: "left" })]),
        ],
      },
    };
  },
  table(model) {
    const columns = ["lane", "round", "edits", "said", ...Object.keys(KEPT)];
    const names = ["lane", "round", "edits", "efficacy_exact", "unedited_recall", "task_mean", "neighborhood_exact"];
    return {
      columns: names,
      rows: lanesOf(model).flatMap(([, rows]) => rows.map((row) => columns.map((name) => row[name] ?? null))),
    };
  },
};
