// @ts-nocheck
// The panels that look inside the edited matrices: spectra, subspaces and drift.
import { escape, facets, figure, inLayer, lanesOf, layer, layerSwitch, line } from "./outside.js";
import { css, h } from "../shared/dom.js";
import { rowAt } from "../shared/feed.js";
import { whole } from "../shared/format.js";
import { colour, dash, marker } from "../shared/lanes.js";
import { run, tell } from "../shared/state.js";

const decades = (text) => ({
  type: "log",
  tickvals: [1, 10, 100, 1000, 10000],
  ticktext: ["1", "10", "100", "1,000", "10,000"],
  title: { text, standoff: 4 },
});
const say = (name, values) =>
  h("div", { class: "number" }, h("span", { class: "name" }, name), h("span", { class: "values" }, values));
const small = (value) =>
  value === null || value === undefined
    ? "–"
    : Math.abs(value) < 1e-6
      ? "0"
      : Math.abs(value) < 0.005
        ? String(Number(value.toPrecision(1)))
        : value.toFixed(2);

/** A name beside k on the axis of singular values, on the side where there is room. */
const mark = (text, k, y, base, box) => {
  const left = Math.log(k) > 0.5 * Math.log(base?.i.at(-1) ?? 1e4);
  return {
    x: Math.log10(k),
    xref: "x",
    y,
    yref: "paper",
    text,
    showarrow: false,
    xanchor: left ? "right" : "left",
    yanchor: "top",
    xshift: left ? -5 : 5,
    font: { color: css("--ink"), size: box.wide ? 15 : 13 },
  };
};
export const energy = {
  begun(model) {
    if (model.start && run.curves !== model.start.w0) {
      run.curves = model.start.w0;
      tell({});
    }
  },
  choices: { scale: "sigma" },
  drawsStart: true,
  options: (model, { state }) => [
    {
      name: "scale",
      label: "Scale",
      chosen: state.scale,
      values: [
        ["sigma", "σ"],
        ["share", "share"],
      ],
    },
    layerSwitch(model),
  ],
  draw(model, view, box, { state }) {
    const number = layer(model),
      base = (model.start?.w0 || []).find((found) => found.layer === number);
    const scaled = state.scale === "share",
      traces = [],
      shapes = [],
      annotations = [];
    if (base)
      traces.push({
        type: "scatter",
        mode: "lines",
        x: base.i,
        y: base[state.scale],
        line: { color: css("--base"), width: 5 },
        opacity: 0.55,
        hovertemplate: `unedited<br>i = %{x}<br><b>%{y:.3g}</b><extra></extra>`,
      });
    const guarded = lanesOf(model).map(([lane]) => [lane, model.start?.k0?.[lane]?.[number]]);
    const ranks = [...new Set(guarded.map(([, found]) => found).filter(Boolean))];
    ranks.forEach((k, i) => {
      shapes.push({
        type: "rect",
        xref: "x",
        yref: "paper",
        x0: 1,
        x1: k,
        y0: 0,
        y1: 1,
        fillcolor: css("--shade"),
        line: { width: 0 },
        layer: "below",
      });
      annotations.push(mark(`k of W₀ = ${k}`, k, 1 - 0.12 * i, base, box));
    });
    const now = [];
    for (const [lane, rows] of lanesOf(model)) {
      const found = inLayer(rowAt(rows), "spectra", number);
      if (!found) continue;
      now.push([lane, found.k]);
      traces.push({
        type: "scatter",
        mode: "lines",
        lane,
        x: found.i,
        y: found[state.scale],
        line: { color: colour(lane), width: 2.2, dash: dash(lane) },
        hovertemplate: `${escape(lane)}<br>i = %{x}<br><b>%{y:.3g}</b><extra></extra>`,
      });
    }
    for (const [lane, k] of now)
      if (k)
        shapes.push({
          type: "line",
          xref: "x",
          yref: "paper",
          x0: k,
          x1: k,
          y0: 0,
          y1: 1,
          line: { color: colour(lane), width: 1.8, dash: "dot" },
        });
    const share = (lane) =>
      `${model.start?.tau?.[lane]}${model.start?.by?.[lane] === "count" ? " of their number" : ""}`;
    const taus = [...new Set(guarded.map(([lane]) => share(lane)))];
    const at = taus.length === 1 ? ` at τ = ${taus[0]}` : " at each lane’s τ";
    const each = (found, title) => found.map(([lane, k]) => figure(lane, String(k ?? "–"), title));
    const one = ranks.length === 1 && taus.length === 1;
    return {
      traces,
      revision: number,
      numbers: [
        ranks.length &&
          say(`k of W₀${at} (shaded)`, one ? h("b", {}, String(ranks[0])) : each(guarded, "k of the unedited matrix")),
        now.length && say("k of Wₜ (dotted)", each(now, "k of the edited matrix")),
      ].filter(Boolean),
      layout: {
        shapes,
        annotations,
        xaxis: decades("singular value i"),
        yaxis: scaled ? { tickformat: ".0%", rangemode: "tozero", nticks: 5 } : { rangemode: "tozero", nticks: 5 },
      },
    };
  },
  table(model) {
    const number = layer(model),
      rows = [];
    const add = (lane, found) =>
      found?.i.forEach((i, place) => rows.push([lane, number, i, found.sigma[place], found.share[place]]));
    add(
      "unedited",
      (model.start?.w0 || []).find((found) => found.layer === number),
    );
    for (const [lane, all] of lanesOf(model)) add(lane, inLayer(rowAt(all), "spectra", number));
    return { columns: ["lane", "layer", "i", "sigma", "share_of_energy"], rows };
  },
};

const MEASURES = { ls: "LS", ss_right: "SS right", ss_left: "SS left" };
export const similarity = {
  choices: { measure: "ls" },
  options: (model, { state }) => [
    { name: "measure", label: "Measure", chosen: state.measure, values: Object.entries(MEASURES) },
    layerSwitch(model),
  ],
  draw(model, view, box, { state }) {
    const number = layer(model),
      { margin, domains } = facets(2, box, { gap: 46 });
    const traces = [],
      from = (name) => (row) => inLayer(row, "layers", number)?.[name];
    for (const [lane, rows] of lanesOf(model)) {
      traces.push(line(lane, rows, from(state.measure), { format: ".3f", name: MEASURES[state.measure] }));
      traces.push(
        line(lane, rows, from("drift_right"), { xaxis: "x2", yaxis: "y2", format: ".2g", name: "drift, right" }),
      );
      traces.push(
        line(lane, rows, from("drift_left"), {
          xaxis: "x2",
          yaxis: "y2",
          format: ".2g",
          name: "drift, left",
          dash: "dot",
          opacity: 0.75,
        }),
      );
    }
    const now = (name) =>
      lanesOf(model).map(([lane, rows]) => figure(lane, small(from(name)(rowAt(rows) || {})), name));
    return {
      traces,
      revision: number,
      numbers: [
        say(`${MEASURES[state.measure]} to W₀`, now(state.measure)),
        say("Drift inside the block, right", now("drift_right")),
        say("Drift inside the block, left (dotted)", now("drift_left")),
      ],
      layout: {
        margin,
        xaxis: { domain: domains[0], nticks: 4, rangemode: "tozero" },
        xaxis2: { domain: domains[1], anchor: "y2", nticks: 4, rangemode: "tozero", matches: "x" },
        yaxis: { range: [-0.03, 1.03], nticks: 5 },
        yaxis2: { anchor: "x2", rangemode: "tozero", nticks: 4 },
      },
    };
  },
  table(model) {
    const columns = [
      "dominant_rank",
      "k",
      "ls",
      "ss_right",
      "ss_left",
      "ss_right_mean",
      "ss_left_mean",
      "drift_right",
      "drift_left",
      "frobenius",
      "condition",
      "numerical_rank",
      "rank_tolerance",
      "change",
      "delta_frobenius",
      "removed_share",
    ];
    return {
      columns: ["lane", "round", "layer", ...columns],
      rows: lanesOf(model).flatMap(([lane, rows]) =>
        rows.flatMap((row) =>
          row.layers.map((found) => [lane, row.round, found.layer, ...columns.map((name) => found[name] ?? null)]),
        ),
      ),
    };
  },
};

const CONTROLS = [
  ["null", "null edit", "dot"],
  ["resampled", "other inputs, no edit", "dash"],
];
export const drift = {
  choices: {},
  options: (model) => [layerSwitch(model)],
  protocol: (model) => model.start?.read && `on ${model.start.read}`,
  lacks: (model) => model.start?.why,
  draw(model) {
    const number = layer(model),
      traces = [],
      annotations = [];
    const lanes = lanesOf(model).map(([lane, rows]) => [lane, inLayer(rowAt(rows), "layers", number)]);
    const control = (model.start?.controls || []).find((found) => found.layer === number);
    const drawn = lanes.map(([, found]) => found?.rk || []).concat(CONTROLS.map(([name]) => control?.[name] || []));
    // A logarithmic axis has no 0: what did not move at all lies at its foot, below all that did.
    const foot = Math.min(1, ...drawn.flat().filter((value) => value > 0)) / 3;
    const line = (name, k, values, looks) =>
      traces.push({
        type: "scatter",
        x: k,
        y: values.map((value) => (value === null ? null : Math.max(value, foot))),
        customdata: values,
        hovertemplate: `${escape(name)}<br>k = %{x}<br>R<sub>k</sub> = <b>%{customdata:.3g}</b><extra></extra>`,
        ...looks,
      });
    for (const [name, says, dash] of control ? CONTROLS : []) {
      const grey = { color: css("--muted"), width: 1.5, dash };
      line(says, control.k, control[name], { mode: "lines", control: name, line: grey });
      const still = control[name].every((value) => value === 0);
      annotations.push({
        x: 0,
        xref: "paper",
        y: Math.log10(Math.max(foot, control[name][0])),
        text: still ? `${says}: 0` : says,
        showarrow: false,
        xanchor: "left",
        yanchor: "bottom",
        font: { color: css("--muted"), size: 11.5 },
      });
    }
    for (const [lane, found] of lanes)
      if (found)
        line(lane, found.k, found.rk, {
          mode: "lines+markers",
          lane,
          line: { color: colour(lane), width: 1.5, dash: dash(lane) },
          marker: { color: colour(lane), symbol: marker(lane), size: 4.5 },
        });
    return {
      traces,
      revision: number,
      numbers: [
        say(
          "Directions above 1",
          lanes.map(([lane, found]) =>
            figure(lane, found ? `${whole(found.rk_over_1)} %` : "–", `median ${small(found?.rk_median)}`),
          ),
        ),
        say(
          "Median",
          lanes.map(([lane, found]) => figure(lane, small(found?.rk_median), "median R_k")),
        ),
      ],
      layout: {
        annotations,
        xaxis: decades("principal direction k"),
        yaxis: {
          type: "log",
          tickvals: [0.001, 0.01, 0.1, 1, 10, 100, 1000],
          ticktext: ["", ".01", ".1", "1", "10", "100", "1,000"],
        },
        shapes: [
          {
            type: "line",
            xref: "paper",
            x0: 0,
            x1: 1,
            y0: 1,
            y1: 1,
            line: { color: css("--muted"), width: 1.5, dash: "dot" },
          },
        ],
      },
    };
  },
  table(model) {
    const number = layer(model),
      rows = [];
    const control = (model.start?.controls || []).find((found) => found.layer === number);
    for (const [name, says] of control ? CONTROLS : [])
      control.k.forEach((k, place) => rows.push([says, null, number, k, control[name][place]]));
    for (const [lane, all] of lanesOf(model)) {
      const row = rowAt(all),
        found = inLayer(row, "layers", number);
      found?.k.forEach((k, place) => rows.push([lane, row.round, number, k, found.rk[place]]));
    }
    return { columns: ["lane", "round", "layer", "k", "R_k"], rows };
  },
};
