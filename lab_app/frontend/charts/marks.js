// The traces of a small chart, by kind: lines with bands, points, bars, paths, and moves.
import { css } from "../shared/dom.js";
import { columnOf } from "./select.js";
import { known, short } from "./units.js";
import { wornBy } from "./worn.js";

const POINTS = 48; // the most points of a line that still shows markers

/**
 * @param {unknown} text
 * @returns {string}
 */
export const escape = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("%{", "% {");

/**
 * A value of the column that splits a chart into series; numbers get the column's name.
 * @param {string | null} name
 * @param {unknown} value
 * @returns {string}
 */
export const label = (name, value) => (typeof value === "number" && name ? `${name} ${value}` : String(value));

/**
 * The unit of a chart's y (z of a heat map): its own or its column's; of results that have none, as their title
 * says.
 * @param {any} chart
 * @param {Tables} data
 * @returns {string}
 */
export function unitOf(chart, data) {
  const own = chart.unit || columnOf(data, chart.table, chart.kind === "heat" ? chart.z : chart.y).unit;
  return own || (/share/.test(chart.y_title) && chart.kind !== "heat" ? "share" : "");
}

/**
 * The hover text of a point: its series, and its values by name.
 * @param {any} row
 * @param {any} series
 * @param {Cell} cell
 * @param {Tables} data
 * @param {Worn} worn
 * @returns {string}
 */
export function hoverText(row, series, cell, data, worn) {
  const { chart } = cell;
  const unit = unitOf(chart, data);
  const whose = [
    series.reference?.name ?? series.family ?? (known(series.lane) ? worn.name(series.lane) : null),
    chart.facet && chart.facet !== "lane" ? row[chart.facet] : null,
    chart.by ? label(chart.by, row[chart.by]) : null,
  ];
  const named = (name, title, of) => {
    const column = columnOf(data, chart.table, name);
    return `${escape(column.title || title || name)}: ${escape(short(row[name], of ?? column.unit))}`;
  };
  const ends = [row[chart.y_low], row[chart.y_high]];
  const interval = ends.every(known) ? ` (${ends.map((end) => short(end, unit)).join(" to ")})` : "";
  const parts = [
    escape(whose.filter((part) => known(part) && part !== "").join(" · ")),
    known(row.round) && chart.x !== "round" ? `round ${row.round}` : null,
    named(chart.x, chart.x_title),
  ];
  if (chart.kind === "heat") parts.push(named(chart.y, chart.y_title), `<b>${named(chart.z, chart.z, unit)}</b>`);
  else parts.push(`<b>${named(series.y, chart.y_title, unit)}</b>${interval}`);
  if (chart.text) parts.push(named(chart.text));
  return parts.filter(Boolean).join("<br>");
}

/**
 * The traces of one small chart on the axes `place`. `at`: the selected round; `looks`: sizes of text and markers;
 * `lines` breaks the names of categories.
 * @param {Cell} cell
 * @param {Tables} data
 * @param {{ xaxis: string, yaxis: string }} place - its axes.
 * @param {{ worn: Worn, looks: Looks, round: number | null, lines: (name: string) => string }} context
 * @returns {any[]}
 */
export function tracesOf(cell, data, place, { worn, looks, round, lines }) {
  const { chart } = cell,
    foot = chart.floor ? footOf(cell) : null;
  const unit = unitOf(chart, data);
  return cell.series.flatMap((series) => {
    const wears = wornBy(chart, series, data, worn);
    const common = {
      lane: series.lane,
      name: series.reference?.name ?? series.family ?? (chart.by ? label(chart.by, series.by) : series.lane),
      column: series.y,
      unit,
      text: series.rows.map((row) => hoverText(row, series, cell, data, worn)),
      hovertemplate: "%{text}<extra></extra>",
      ...place,
    };
    if (chart.kind === "moved") return moved(series, chart, wears, common);
    if (chart.kind === "bar") return [bars(series, chart, wears, common, looks, lines, worn)];
    return [...band(series, chart, wears, place), joined(series, chart, wears, common, { foot, round, looks })];
  });
}

/**
 * A value below all positive ones: where zeros are drawn on a logarithmic axis.
 * @param {Cell} cell
 * @returns {number}
 */
export const footOf = ({ series }) =>
  series.reduce((least, { rows, y }) => rows.reduce((a, row) => (row[y] > 0 ? Math.min(a, row[y]) : a), least), 1) / 3;

/** The band between the ends of the intervals. */
function band(series, chart, { colour }, place) {
  const sure = series.rows.filter((row) => known(row[chart.y_low]) && known(row[chart.y_high]));
  if (chart.kind !== "line" || sure.length < 2) return [];
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

/** The error bars: how far an interval extends above and below its value. */
function errors(series, chart, looks) {
  if (!chart.y_low || chart.kind === "line") return {};
  return {
    error_y: {
      array: series.rows.map((row) => row[chart.y_high] - row[series.y]),
      arrayminus: series.rows.map((row) => row[series.y] - row[chart.y_low]),
      color: css("--muted"),
      thickness: looks.whisker,
      width: 1 + 2.4 * looks.whisker,
    },
  };
}

/** Points, joined or not. The point of the selected round is larger; on a path, later points are faint. */
function joined(series, chart, /** @type {any} */ { colour, dash, symbol, width }, common, { foot, round, looks }) {
  const { rows, y, reference, family } = series,
    path = chart.kind === "path" && !family,
    history = !chart.at_round && !reference && !family && known(rows[0].round) && looks.history;
  const here = history || path ? rows.filter((row) => round === null || row.round <= round).at(-1) : null;
  const hollow = symbol === "star-open";
  const marks = chart.kind === "scatter" || (rows.length <= POINTS && !chart.smooth);
  const large = path ? (hollow ? 17 : 14) : 10,
    small = path ? (hollow ? 8 : 5.5) : chart.kind === "scatter" ? 6.5 : looks.mark(rows.length);
  const plain = Boolean(reference || family);
  return {
    ...common,
    type: "scatter",
    x: rows.map((row) => row[chart.x]),
    y: rows.map((row) => (foot === null ? row[y] : Math.max(row[y], foot))),
    ...(foot === null ? {} : { customdata: rows.map((row) => row[y]) }),
    ...(known(rows[0].round) && (!chart.at_round || chart.x === "round") && !plain
      ? { rounds: rows.map((row) => row.round) }
      : {}),
    mode: plain ? "lines" : chart.kind === "scatter" ? "markers" : marks || path ? "lines+markers" : "lines",
    line: { color: colour, width: path ? 1 : plain ? width : looks.line(chart), dash: path ? "solid" : dash },
    opacity: width > 2 ? 0.55 : series.also ? 0.75 : 1,
    marker: {
      color: colour,
      symbol,
      opacity: path
        ? rows.map((row) => (here && row.round > here.round ? 0.25 : 1))
        : chart.kind === "scatter"
          ? 0.8
          : 1,
      line: { width: hollow ? 2 : 0, color: colour },
      size: here ? rows.map((row) => (row === here ? large : small)) : small,
    },
    ...errors(series, chart, looks),
  };
}

/** Grouped bars, with a text in them if the chart has one and it fits. */
function bars(series, chart, /** @type {any} */ { colour }, common, looks, lines, worn) {
  const { rows, y, lane } = series;
  const written = looks.words && chart.text;
  return {
    ...common,
    type: "bar",
    x: rows.map((row) => (typeof row[chart.x] === "number" ? String(row[chart.x]) : lines(row[chart.x]))),
    y: rows.map((row) => row[y]),
    marker: {
      color: colour,
      pattern: worn.hatched?.(lane) ? { shape: "/", fillmode: "overlay", fgcolor: css("--card"), solidity: 0.25 } : {},
    },
    ...(written
      ? {
          hovertext: common.text,
          hovertemplate: "%{hovertext}<extra></extra>",
          text: rows.map((row) => escape(row[chart.text] ?? "")),
          textposition: chart.y_low ? "inside" : "outside",
          insidetextanchor: "start",
          textangle: 0,
          cliponaxis: false,
          textfont: { size: looks.font, color: css(chart.y_low ? "--card" : "--ink") },
        }
      : { textposition: "none" }),
    ...errors(series, chart, looks),
  };
}

/** Each point before (hollow) and after (solid), joined by a line. */
function moved({ rows, y }, chart, /** @type {any} */ { colour, symbol }, common) {
  const { text, hovertemplate, lane, column, name, unit, ...place } = common;
  const way = /** @type {{ x: any[], y: any[] }} */ ({ x: [], y: [] });
  for (const row of rows) {
    way.x.push(row[chart.x_from], row[chart.x], null);
    way.y.push(row[chart.y_from], row[y], null);
  }
  const points = (x, y_) => ({ x: rows.map((row) => row[x]), y: rows.map((row) => row[y_]) });
  const quiet = { type: "scatter", hoverinfo: "skip", ...place };
  const outside = (row) => row.fact < 0;
  return [
    { ...quiet, ...way, mode: "lines", line: { color: colour, width: 1 }, opacity: 0.35 },
    {
      ...quiet,
      ...points(chart.x_from, chart.y_from),
      mode: "markers",
      marker: { size: 5, color: "rgba(0,0,0,0)", line: { width: 1.2, color: css("--base") } },
    },
    {
      ...place,
      ...points(chart.x, y),
      ...{ type: "scatter", mode: "markers", lane, name, column, unit, hovertemplate },
      facts: rows.map((row) => row.fact),
      text: rows.map((row) => (outside(row) ? "an unedited fact" : `fact ${row.fact + 1}`)),
      marker: { size: 6, symbol, color: rows.map((row) => (outside(row) ? css("--base") : colour)) },
    },
  ];
}
