// @ts-nocheck
/* eslint-disable jsdoc/require-jsdoc, jsdoc/require-param, jsdoc/require-returns */
// How each panel's rows become a figure, and a table of the same numbers.
import { css, h } from "../shared/dom.js";
import { rowAt } from "../shared/feed.js";
import { percent, whole } from "../shared/format.js";
import { colour, marker, shown, slotOf } from "../shared/lanes.js";
import { run, view } from "../shared/state.js";

const RANGE = [-0.03, 1.03];
export const SHARES = { range: RANGE, tickvals: [0, 0.25, 0.5, 0.75, 1], ticktext: ["0", "", "50", "", "100 %"] };
const CORRELATION = { range: [-1.03, 1.03], tickvals: [-1, -0.5, 0, 0.5, 1] };

/** A lane's line over the edits so far; a larger mark at the round looked at. */
export function line(lane, rows, value, extra = {}) {
  const known = rows.filter((row) => value(row) !== null && value(row) !== undefined);
  const chosen = rowAt(known);
  return {
    type: "scatter",
    mode: "lines+markers",
    lane,
    rounds: known.map((row) => row.round),
    x: known.map((row) => row.edits ?? run.edits[row.round] ?? row.round),
    y: known.map(value),
    line: { color: colour(lane), width: 2.5, dash: extra.dash || "solid", shape: "linear" },
    marker: {
      color: colour(lane),
      symbol: marker(lane),
      opacity: 1,
      line: { width: 0 },
      size: known.map((row) => (row === chosen ? 10 : 4.5)),
    },
    opacity: extra.opacity ?? 1,
    xaxis: extra.xaxis || "x",
    yaxis: extra.yaxis || "y",
    hovertemplate:
      `${escape(lane)}<br>%{x:,} edits<br>` +
      `${extra.name ? `${extra.name} ` : ""}<b>%{y:${extra.format || ".1%"}}</b><extra></extra>`,
  };
}
/** The band between a number's interval ends. */
function band(lane, rows, name, extra = {}) {
  const known = rows.filter((row) => row.sure?.[name]),
    x = known.map((row) => row.edits ?? row.round);
  if (known.length < 2) return [];
  return [
    {
      type: "scatter",
      mode: "lines",
      x: [...x, ...x.slice().reverse()],
      y: [...known.map((row) => row.sure[name][1]), ...known.map((row) => row.sure[name][0]).reverse()],
      fill: "toself",
      fillcolor: colour(lane),
      opacity: 0.13,
      line: { width: 0 },
      hoverinfo: "skip",
      xaxis: extra.xaxis || "x",
      yaxis: extra.yaxis || "y",
    },
  ];
}
export const escape = (text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("%{", "% {");

const dot = (lane) => h("i", { class: `dot slot-${slotOf(lane)} ${marker(lane)}`, "aria-hidden": "true" });
export const figure = (lane, text, title) =>
  h("b", { class: `slot-${slotOf(lane)}`, title: `${lane}: ${title || ""}` }, dot(lane), text);
export const lanesOf = (model) =>
  shown()
    .filter((lane) => model.lanes.has(lane))
    .map((lane) => [lane, model.lanes.get(lane)]);

/** Side by side plots: the domain of each, from pixels. */
export function facets(count, box, { left = 38, right = 10, gap = 26 } = {}) {
  const inner = box.width - left - right,
    each = (inner - gap * (count - 1)) / count;
  return {
    margin: { l: left, r: right, t: 10, b: 42 },
    domains: [...Array(count).keys()].map((i) => [(i * (each + gap)) / inner, (i * (each + gap) + each) / inner]),
  };
}
export const axisName = (letter, i) => `${letter}axis${i ? i + 1 : ""}`;
export const anchor = (letter, i) => `${letter}${i ? i + 1 : ""}`;

export function layersOf(model) {
  const all = new Set();
  for (const rows of model.lanes.values())
    for (const row of rows) for (const layer of row.layers || row.spectra || []) all.add(layer.layer);
  for (const layer of model.start?.w0 || []) all.add(layer.layer);
  return [...all].sort((a, b) => a - b);
}
/** The shown lanes that have edited a layer: a method may choose others in each round. */
const editing = (number) => shown().filter((lane) => run.moved[lane]?.includes(number));
function leftAlone(number) {
  const begun = shown().filter((lane) => run.moved[lane]?.length),
    others = begun.filter((lane) => !editing(number).includes(lane));
  if (!others.length) return "";
  if (others.length === begun.length) return ", not edited";
  return `, not by ${others.length === 1 ? others[0] : `${others.length} lanes`}`;
}
export function layer(model) {
  const known = layersOf(model);
  if (known.includes(view.layer)) return view.layer;
  const most = Math.max(...known.map((number) => editing(number).length)); // where lanes can be compared
  return known.filter((number) => editing(number).length === most).at(-1);
}
export const layerSwitch = (model) => ({
  name: "layer",
  label: "Layer",
  chosen: layer(model),
  values: layersOf(model).map((number) => [number, `layer ${number}${leftAlone(number)}`]),
});
export const inLayer = (row, list, number) => (row?.[list] || []).find((found) => found.layer === number);

// -- outside

const METRICS = [
  ["efficacy", "Efficacy", { probability: "efficacy", exact: "efficacy_exact", "when edited": "efficacy_when_edited" }],
  ["paraphrase", "Paraphrase", { probability: "paraphrase", exact: "paraphrase_exact" }],
  ["neighborhood", "Neighbours", { probability: "neighborhood", exact: "neighborhood_exact" }],
  [
    "unedited_recall",
    "Unedited facts",
    { probability: "unedited_recall", exact: "unedited_recall", "when edited": "unedited_recall" },
  ],
  ["locality", "Locality", { probability: "locality", exact: "locality_exact" }],
  [
    "locality_kept",
    "As before",
    { probability: "locality_kept", exact: "locality_kept", "when edited": "locality_kept" },
  ],
];
/** The scores that these facts have: not every dataset asks of locality. */
const metricsOf = (model) =>
  METRICS.filter(
    ([key]) =>
      !key.startsWith("locality") ||
      [...model.lanes.values()].some((rows) => rows.some((row) => row[key] !== undefined)),
  );
const WEARS = {
  probability: {
    efficacy: "P(new) > P(old)",
    paraphrase: "P(new) > P(old)",
    neighborhood: "P(old) > P(new)",
    unedited_recall: "exact",
    locality: "P(answer) > P(new)",
    locality_kept: "same tokens first",
  },
  exact: {
    efficacy: "every token first",
    paraphrase: "every token first",
    neighborhood: "every token first",
    unedited_recall: "exact",
    locality: "every token first",
    locality_kept: "same tokens first",
  },
  "when edited": {
    efficacy: "right after its round",
    paraphrase: "not measured so",
    neighborhood: "not measured so",
    unedited_recall: "exact",
    locality: "not measured so",
    locality_kept: "same tokens first",
  },
};

export const scores = {
  choices: { protocol: "probability" },
  options: (model, { state }) => [
    {
      name: "protocol",
      label: "Protocol",
      chosen: state.protocol,
      values: ["probability", "exact", "when edited"].map((name) => [name, name]),
    },
  ],
  draw(model, view, box, { state }) {
    const narrow = box.width < 480,
      metrics = metricsOf(model),
      columns = narrow ? 2 : metrics.length * 120 <= box.width ? metrics.length : Math.ceil(metrics.length / 2),
      lines = Math.ceil(metrics.length / columns),
      tall = (1 - 0.16 * (lines - 1)) / lines; // of each line of plots
    const { margin, domains } = facets(columns, box);
    const traces = [],
      layout = { margin, height: (box.wide ? 420 : 190) * (1 + 0.9 * (lines - 1)) };
    metrics.forEach(([key, , names], i) => {
      const column = i % columns,
        top = 1 - Math.floor(i / columns) * (tall + 0.16);
      layout[axisName("x", i)] = {
        domain: domains[column],
        anchor: anchor("y", i),
        nticks: 4,
        rangemode: "tozero",
        matches: i ? "x" : undefined,
      };
      layout[axisName("y", i)] = {
        ...SHARES,
        anchor: anchor("x", i),
        matches: i ? "y" : undefined,
        showticklabels: column === 0,
        domain: [Math.max(0, top - tall), top],
      };
      for (const [lane, rows] of lanesOf(model))
        if (names[state.protocol])
          traces.push(
            ...band(lane, rows, names[state.protocol], { xaxis: anchor("x", i), yaxis: anchor("y", i) }),
            line(lane, rows, (row) => row[names[state.protocol]], {
              xaxis: anchor("x", i),
              yaxis: anchor("y", i),
              name: key,
            }),
          );
    });
    layout.annotations = [
      {
        text: "edits so far",
        xref: "paper",
        yref: "paper",
        x: 1,
        y: 0,
        yshift: -24,
        xanchor: "right",
        yanchor: "top",
        showarrow: false,
        font: { color: css("--faint") },
      },
    ];
    const numbers = metrics.map(([key, label, names]) =>
      h(
        "div",
        { class: "number" },
        h("span", { class: "name" }, label),
        h(
          "span",
          { class: "values" },
          lanesOf(model).map(([lane, rows]) => {
            const row = rowAt(rows),
              value = names[state.protocol] ? row?.[names[state.protocol]] : null;
            return figure(lane, whole(value), `${percent(value)} of ${row?.scored ?? row?.edits ?? 0}`);
          }),
        ),
        h("span", { class: "wears" }, WEARS[state.protocol][key]),
      ),
    );
    return { traces, layout, numbers, columns };
  },
  table(model) {
    const columns = [
      "lane",
      "round",
      "edits",
      "scored",
      "efficacy",
      "paraphrase",
      "neighborhood",
      "efficacy_exact",
      "paraphrase_exact",
      "neighborhood_exact",
      "efficacy_when_edited",
      "efficacy_exact_when_edited",
      "unedited_recall",
      "locality",
      "locality_exact",
      "locality_tokens",
      "locality_kept",
    ];
    return {
      columns,
      rows: lanesOf(model).flatMap(([, rows]) => rows.map((row) => columns.map((name) => row[name] ?? null))),
    };
  },
};

export const tasks = {
  choices: { task: "mean" },
  options(model, { state }) {
    const names = Object.keys(lanesOf(model)[0]?.[1][0]?.tasks || {});
    if (names.length < 2) return [];
    return [
      {
        name: "task",
        label: "Task",
        chosen: state.task,
        values: [["mean", "mean"], ...names.map((name) => [name, name])],
      },
    ];
  },
  draw(model, view, box, { state }) {
    const value = (row) => (state.task === "mean" ? row.mean : row.tasks[state.task]);
    const { units = {}, counted = [] } = model.start || {},
      mean = state.task === "mean",
      unit = mean
        ? [...new Set(counted.map((name) => units[name]))].join(", ") || "accuracy"
        : units[state.task] || "accuracy",
      share = mean || !units[state.task] || counted.includes(state.task),
      axis = unit.startsWith("Matthews") ? CORRELATION : { rangemode: "tozero" }, // of what is no share
      shown = (number) => (share ? whole(number) : (number?.toFixed(2) ?? "–"));
    const lanes = lanesOf(model),
      before = lanes[0] && value(lanes[0][1][0] || { tasks: {} }),
      chance = model.start?.chance?.[state.task];
    return {
      traces: lanes.map(([lane, rows]) => line(lane, rows, value, { name: state.task, format: share ? ".1%" : ".2f" })),
      numbers: [
        h(
          "div",
          { class: "number" },
          h(
            "span",
            { class: "name", title: mean ? counted.join(", ") : unit },
            mean ? `Mean of ${counted.length || "all"} tasks` : state.task,
          ),
          h("span", { class: "wears" }, unit),
          h(
            "span",
            { class: "values" },
            lanes.map(([lane, rows]) => figure(lane, shown(rowAt(rows) && value(rowAt(rows))), unit)),
          ),
        ),
      ],
      layout: {
        xaxis: { rangemode: "tozero", nticks: 5, title: { text: "edits so far", standoff: 4 } },
        yaxis: share ? SHARES : axis,
        shapes: [
          [before, "dot"],
          [chance, "dash"],
        ]
          .filter(([y]) => y !== undefined && y !== null)
          .map(([y, dash]) => ({
            type: "line",
            xref: "paper",
            x0: 0,
            x1: 1,
            y0: y,
            y1: y,
            line: { color: css("--muted"), width: 1.5, dash },
          })),
        annotations:
          chance === undefined
            ? []
            : [
                {
                  x: 1,
                  xref: "paper",
                  y: chance,
                  text: `guessing: ${percent(chance)}`,
                  showarrow: false,
                  xanchor: "right",
                  yanchor: "bottom",
                  font: { color: css("--muted"), size: 11.5 },
                },
              ],
      },
    };
  },
  table(model) {
    const names = Object.keys(lanesOf(model)[0]?.[1][0]?.tasks || {}),
      chance = model.start?.chance || {};
    return {
      columns: ["lane", "round", "edits", "task_mean", ...names.map((name) => `task_${name}`)],
      rows: [
        ["guessing", null, null, chance.mean ?? null, ...names.map((name) => chance[name] ?? null)],
        ...lanesOf(model).flatMap(([lane, rows]) =>
          rows.map((row) => [lane, row.round, row.edits, row.mean, ...names.map((name) => row.tasks[name])]),
        ),
      ],
    };
  },
};
