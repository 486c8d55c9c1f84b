// @ts-nocheck
// How a table that a study found becomes a figure: small charts side by side, one for each facet and, where series
// have colours of their own, for each lane. `beside` is the same table of another result, which is to be read on the same
// scale.
import { symbols } from "../shared/format.js";
import { anchor, axisName, escape } from "../charts/outside.js";
import { css, h } from "../shared/dom.js";
import { colour, dash, marker, shown, slotOf } from "../shared/lanes.js";

/**
 * The chart of a study's table.
 * @param {any} chart
 * @param {any} table
 * @param {any} beside - the same table of another result.
 * @returns {any} as the panels draw it.
 */
export function studyChart(chart, table, beside = null) {
  const SERIES = 8, // colours of series that are no lanes
    FEW = 4, // facets that are drawn together
    POINTS = 48; // of a line that still shows its marks
  let letters = 14, // of a line of a category's name
    tilted = false; // names that are too long to stand under one another
  const NUMBER = { line: "scatter", scatter: "scatter", bar: "bar" };
  const rows = unpacked(table),
    across = beside ? unpacked(beside) : [];
  const distinct = (name) => [...new Set(rows.map((row) => row[name]).filter(known))];
  const facets = chart.facet ? distinct(chart.facet) : [null];
  const series = chart.by ? ordered(distinct(chart.by)) : [null];
  const split = Boolean(chart.by) || chart.kind === "heat";
  // Tables may be longer than what a call takes as arguments.
  const smallest = (values) => values.reduce((a, b) => Math.min(a, b), Infinity),
    largest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
  const whole = (values) => values.every((value) => Number.isInteger(value));

  function known(value) {
    return value !== null && value !== undefined;
  }
  function ordered(values) {
    return values.every((value) => typeof value === "number") ? values.sort((a, b) => a - b) : values;
  }
  /** Rows from columns, some of which are words and where they stand. */
  function unpacked({ columns, values }) {
    const lists = values.map((list) =>
      Array.isArray(list) ? list : list.at.map((place) => (place === null ? null : list.words[place])),
    );
    return (lists[0] || []).map((_, i) => Object.fromEntries(columns.map((name, j) => [name, lists[j][i]])));
  }
  const lanesOf = () => shown().filter((lane) => rows.some((row) => row.lane === lane));
  const label = (name, value) => (typeof value === "number" && name ? `${name} ${value}` : String(value));

  /** The colour of a series: steps from light to dark for numbers in order, else colours that most eyes tell apart. */
  function colourOf(value, lane) {
    if (!chart.by) return colour(lane);
    const place = series.indexOf(value);
    if (series.length > 1 && typeof value === "number")
      return mixed("--ramp-0", "--ramp-1", place / (series.length - 1));
    return css(`--series-${(place % SERIES) + 1}`);
  }
  /** Between two colours of the style sheet, both as #rrggbb. */
  function mixed(first, last, share) {
    const parts = (name) =>
      css(name)
        .match(/[0-9a-f]{2}/gi)
        .map((part) => parseInt(part, 16));
    const [from, to] = [parts(first), parts(last)];
    return `rgb(${from.map((part, i) => Math.round(part + share * (to[i] - part))).join(",")})`;
  }
  const markerOf = (value, lane) =>
    chart.by ? ["circle", "square", "diamond", "triangle-up", "cross", "x"][series.indexOf(value) % 6] : marker(lane);

  /** A category's name in lines of some letters. */
  function lines(text) {
    if (tilted) return escape(text);
    const found = [""];
    for (const word of String(text).split(" "))
      if (found.at(-1) && `${found.at(-1)} ${word}`.length > letters) found.push(word);
      else found[found.length - 1] = `${found.at(-1)} ${word}`.trim();
    return found.map(escape).join("<br>");
  }
  const short = (value) =>
    typeof value === "number" ? String(Number(value.toPrecision(3))) : known(value) ? String(value) : "–";

  /** What a point says when it is pointed at. */
  function hover(row, lane) {
    const said = [lane, chart.facet && row[chart.facet], chart.by && label(chart.by, row[chart.by])].filter(known);
    const part = (name, title) => `${escape(title || name)}: ${escape(short(row[name]))}`;
    const z = chart.z ? [`<b>${escape(chart.z)} ${escape(short(row[chart.z]))}</b>`] : [];
    const interval =
      chart.y_low && known(row[chart.y_low]) ? ` (${short(row[chart.y_low])} to ${short(row[chart.y_high])})` : "";
    const text = chart.text ? [part(chart.text, chart.text)] : [];
    return [
      escape(said.filter(Boolean).join(" · ")),
      part(chart.x, chart.x_title || chart.x),
      `${part(chart.y, chart.y_title || chart.y)}${interval}`,
      ...z,
      ...text,
    ].join("<br>");
  }

  function band(points, colour, place) {
    const sure = points.filter((row) => known(row[chart.y_low]) && known(row[chart.y_high]));
    if (sure.length < 2) return [];
    const x = sure.map((row) => row[chart.x]);
    return [
      {
        type: "scatter",
        mode: "lines",
        x: [...x, ...x.slice().reverse()],
        y: [...sure.map((row) => row[chart.y_high]), ...sure.map((row) => row[chart.y_low]).reverse()],
        fill: "toself",
        fillcolor: colour,
        opacity: 0.13,
        line: { width: 0 },
        hoverinfo: "skip",
        ...place,
      },
    ];
  }
  /** The traces of one small chart: of these rows, of one lane or several. */
  function drawnSeries(cell, lanes, place, numeric) {
    const traces = [];
    for (const lane of lanes)
      for (const value of series) {
        let points = cell.filter((row) => row.lane === lane && (!chart.by || row[chart.by] === value));
        if (!points.length) continue;
        if (numeric && chart.kind === "line") points = points.slice().sort((a, b) => a[chart.x] - b[chart.x]);
        const colour = colourOf(value, lane);
        const marks = chart.kind === "scatter" || points.length <= POINTS;
        if (chart.kind === "line") traces.push(...band(points, colour, place));
        const errors = chart.kind !== "line" && chart.y_low;
        traces.push({
          type: NUMBER[chart.kind],
          lane,
          rounds: chart.x === "round" ? points.map((row) => row.round) : undefined,
          x: points.map((row) => (numeric ? row[chart.x] : lines(row[chart.x]))),
          y: points.map((row) => row[chart.y]),
          text: points.map((row) => hover(row, lane)),
          textposition: "none",
          hovertemplate: "%{text}<extra></extra>",
          ...(chart.kind === "bar"
            ? { marker: { color: colour } }
            : {
                mode: chart.kind === "scatter" ? "markers" : marks ? "lines+markers" : "lines",
                line: { color: colour, width: 2, dash: chart.by ? "solid" : dash(lane) },
                marker: {
                  color: colour,
                  symbol: markerOf(value, lane),
                  size: chart.kind === "scatter" ? 6.5 : 5,
                  opacity: chart.kind === "scatter" ? 0.8 : 1,
                },
              }),
          ...(errors
            ? {
                error_y: {
                  array: points.map((row) => row[chart.y_high] - row[chart.y]),
                  arrayminus: points.map((row) => row[chart.y] - row[chart.y_low]),
                  color: css("--muted"),
                  thickness: 1,
                  width: 3,
                },
              }
            : {}),
          ...place,
        });
      }
    return traces;
  }
  function heat(cell, place, scale, last) {
    const columns = ordered([...new Set(cell.map((row) => row[chart.x]))]),
      down = ordered([...new Set(cell.map((row) => row[chart.y]))]);
    const at = new Map(cell.map((row) => [`${row[chart.x]} ${row[chart.y]}`, row]));
    const grid = (give) => down.map((y) => columns.map((x) => give(at.get(`${x} ${y}`))));
    return {
      type: "heatmap",
      x: columns.map((value) => (typeof value === "number" ? String(value) : lines(value))),
      y: down.map((value) => (typeof value === "number" ? String(value) : escape(value))),
      z: grid((row) => row?.[chart.z] ?? null),
      text: grid((row) => (row ? hover(row, row.lane) : "")),
      hovertemplate: "%{text}<extra></extra>",
      hoverongaps: false,
      xgap: columns.length < 30 ? 1 : 0,
      ygap: down.length < 30 ? 1 : 0,
      ...scale,
      showscale: last,
      colorbar: { thickness: 9, len: 0.9, outlinewidth: 0, tickfont: { size: 11, color: css("--muted") }, nticks: 5 },
      ...place,
    };
  }
  /** One scale for all heat maps: from 0 where nothing is negative, else alike on both sides of 0. */
  function scaleOf(cell) {
    const values = [...cell, ...across].map((row) => row[chart.z]).filter(known),
      least = smallest(values),
      most = largest(values);
    const card = css("--card"),
      far = css("--warm"),
      near = css("--cool");
    if (least < 0) {
      const end = Math.max(-least, most);
      return {
        zmin: -end,
        zmax: end,
        colorscale: [
          [0, near],
          [0.5, card],
          [1, far],
        ],
      };
    }
    const [zmin, zmax] = most <= 1 ? [0, 1] : [Math.min(least, 0), most];
    return {
      zmin,
      zmax,
      colorscale: [
        [0, card],
        [1, css("--accent")],
      ],
    };
  }
  /** The range of an axis that holds both results, where there are two. */
  function alikeIn(name, log) {
    const ends = [name, chart.y_low, chart.y_high].filter(Boolean);
    const values = [...rows, ...across]
      .flatMap((row) => ends.map((end) => row[end]))
      .filter((value) => typeof value === "number" && (!log || value > 0))
      .map((value) => (log ? Math.log10(value) : value));
    if (!across.length || !values.length) return {};
    const base = chart.kind === "bar" ? [0] : [],
      least = smallest([...base, ...values]),
      most = largest([...base, ...values]),
      margin = 0.05 * (most - least) || 0.5;
    return { range: [least - margin, most + margin] };
  }
  function axes(cell, numeric) {
    const x = cell.map((row) => row[chart.x]).filter(known),
      y = cell.map((row) => row[chart.y]).filter(known);
    const heatmap = chart.kind === "heat";
    const span = largest(x) - smallest(x);
    const shares = /share/.test(chart.y_title) && y.every((value) => value >= 0 && value <= 1);
    return [
      {
        type: numeric && !heatmap ? (chart.log_x ? "log" : "linear") : "category",
        nticks: heatmap && numeric ? 6 : heatmap ? 30 : 6,
        tickangle: tilted ? -38 : 0,
        title: chart.x_title && !tilted ? { text: escape(symbols(chart.x_title)), standoff: 4 } : undefined,
        ...(numeric && !heatmap && !chart.log_x && whole(x) && span <= 6 ? { dtick: 1 } : {}),
      },
      heatmap
        ? { type: "category", autorange: "reversed", nticks: new Set(y).size > 20 ? 7 : 21 }
        : chart.log_y
          ? { type: "log", nticks: 4, exponentformat: "power", ...alikeIn(chart.y, true) }
          : {
              nticks: 4,
              ...alikeIn(chart.y, false),
              ...(shares ? { range: [-0.03, 1.03], tickvals: [0, 0.25, 0.5, 0.75, 1] } : {}),
            },
    ];
  }
  /** What colours and marks mean. */
  function legend(lanes) {
    if (chart.kind === "heat") return [];
    const key = (name, colour, mark) =>
      h("span", { class: "series" }, h("i", { class: `dot ${mark}`, style: `background:${colour}` }), name);
    const keys = chart.by
      ? series.length > SERIES && typeof series[0] === "number"
        ? [series[0], series[series.length >> 1], series.at(-1)]
        : series
      : lanes;
    const found = keys.map((value) =>
      chart.by
        ? key(label(chart.by, value), colourOf(value), markerOf(value))
        : key(value, colour(value), marker(value)),
    );
    if (known(chart.line) && chart.line_label)
      found.push(h("span", { class: "series" }, h("i", { class: "stroke" }), chart.line_label));
    return [h("div", { class: "keys" }, found)];
  }

  return {
    choices: { facet: facets.length > FEW ? facets[0] : null },
    drawsStart: true,
    options: (_, { state }) =>
      facets.length > FEW
        ? [
            {
              name: "facet",
              label: chart.facet,
              chosen: state.facet,
              values: [...facets.map((value) => [value, label(chart.facet, value)]), [null, "all of them"]],
            },
          ]
        : [],
    draw(_, view, box, { state }) {
      const lanes = lanesOf(),
        shown = state.facet === null ? facets : [state.facet];
      const numeric = rows.every((row) => !known(row[chart.x]) || typeof row[chart.x] === "number");
      const drawnRows = rows.filter((row) => lanes.includes(row.lane));
      const cells = shown.flatMap((facet) =>
        (split ? lanes.map((lane) => [lane]) : [lanes]).map((own) => ({
          facet,
          own,
          rows: drawnRows.filter(
            (row) => own.includes(row.lane) && (facet === null || row[chart.facet] === facet) && known(row[chart.y]),
          ),
        })),
      );
      const heatmap = chart.kind === "heat",
        fit = Math.max(1, Math.floor((box.width - 40) / (heatmap ? 190 : 215)));
      const together = split ? lanes.length : 1; // lanes of a facet stand side by side
      const columns = Math.max(1, Math.min(cells.length, fit > together ? fit - (fit % together) : fit));
      const down = Math.max(1, Math.ceil(cells.length / columns));
      const left = heatmap
          ? 34 + 5.6 * Math.max(0, largest(drawnRows.map((row) => String(row[chart.y]).length - 3)))
          : 46,
        right = heatmap ? 52 : 10,
        gap = heatmap ? left : 48;
      const inner = box.width - left - right,
        each = (inner - gap * (columns - 1)) / columns;
      letters = Math.max(6, Math.floor(each / distinct(chart.x).length / 7.5));
      tilted = false;
      const longest = Math.max(0, largest(drawnRows.map((row) => String(row[chart.x]).length)));
      const names = numeric
        ? 1
        : Math.max(1, largest(distinct(chart.x).map((name) => lines(name).split("<br>").length)));
      tilted = !numeric && (names > 3 || (heatmap && longest > letters));
      const top = cells.some(({ facet }) => facet !== null) || (split && lanes.length > 1) ? 24 : 8,
        bottom = (chart.x_title ? 38 : 24) + (tilted ? Math.min(120, 4.8 * longest) : 14 * (names - 1)),
        tall = (box.wide ? (down > 1 ? 260 : 400) : cells.length > 2 ? 150 : 190) + top + bottom;
      const height = tall * down;
      const layout = {
        height,
        margin: { l: left, r: right, t: 0, b: 0 },
        annotations: [],
        shapes: [],
        barmode: "group",
        bargap: 0.25,
      };
      const scale = heatmap ? scaleOf(drawnRows) : null;
      const traces = cells.flatMap(({ facet, own, rows: found }, i) => {
        const column = i % columns,
          row = Math.floor(i / columns);
        const place = { xaxis: anchor("x", i), yaxis: anchor("y", i) };
        const domain = {
          x: [(column * (each + gap)) / inner, (column * (each + gap) + each) / inner],
          y: [1 - (tall * (row + 1) - bottom) / height, 1 - (tall * row + top) / height],
        };
        const [x, y] = axes(found, numeric);
        const first = chart.kind === "scatter" ? 0 : i - (split ? i % together : 0), // what is read against one another
          alike = (letter) => (first === i || heatmap ? undefined : anchor(letter, first));
        layout[axisName("x", i)] = {
          ...x,
          domain: domain.x,
          anchor: anchor("y", i),
          matches: numeric ? alike("x") : undefined,
        };
        layout[axisName("y", i)] = { ...y, domain: domain.y, anchor: anchor("x", i), matches: alike("y") };
        const named = [facet === null ? null : label(chart.facet, facet), split && lanes.length > 1 ? own[0] : null];
        layout.annotations.push({
          text: escape(named.filter(Boolean).join(" · ")),
          xref: "paper",
          yref: "paper",
          x: domain.x[0],
          y: domain.y[1],
          yshift: 3,
          xanchor: "left",
          yanchor: "bottom",
          showarrow: false,
          font: { size: box.wide ? 14 : 12.5, color: named[1] ? css(`--text-${slotOf(own[0])}`) : css("--ink") },
        });
        const rule = (where) => ({ type: "line", line: { color: css("--muted"), width: 1.3, dash: "dot" }, ...where });
        if (known(chart.line) && !heatmap)
          layout.shapes.push(
            rule({ xref: `${place.xaxis} domain`, x0: 0, x1: 1, yref: place.yaxis, y0: chart.line, y1: chart.line }),
          );
        if (chart.x === "round" && view.round !== null && numeric && !heatmap && !chart.log_x)
          layout.shapes.push({
            ...rule({ xref: place.xaxis, x0: view.round, x1: view.round, yref: `${place.yaxis} domain`, y0: 0, y1: 1 }),
            line: { color: css("--accent"), width: 1 },
          });
        return heatmap ? [heat(found, place, scale, i === cells.length - 1)] : drawnSeries(found, own, place, numeric);
      });
      return { traces, layout, revision: lanes.join(), numbers: legend(lanes) };
    },
    table() {
      const lanes = lanesOf();
      return {
        columns: table.columns,
        rows: rows
          .filter((row) => lanes.includes(row.lane))
          .map((row) => table.columns.map((name) => row[name] ?? null)),
      };
    },
  };
}
