// The axes of a small chart: kind, range and ticks, from the chart and the units of its data.
import { css } from "../shared/dom.js";
import { symbols } from "../shared/format.js";
import { escape, unitOf } from "./marks.js";
import { known } from "./units.js";

const RANGE = [-0.03, 1.03];
const SHARES = { range: RANGE, tickvals: [0, 0.25, 0.5, 0.75, 1], ticktext: ["0", "", "50", "", "100 %"] };
const DECADES = { type: "log", tickvals: [1, 10, 100, 1000, 10000], ticktext: ["1", "10", "100", "1,000", "10,000"] };
const POWERS = [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8];

const smallest = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const largest = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

/**
 * Whether an axis is numeric: all its values are numbers.
 * @param {any[]} rows
 * @param {string} name
 * @returns {boolean}
 */
export const isNumeric = (rows, name) => rows.every((row) => !known(row[name]) || typeof row[name] === "number");

const title = (text) => (text ? { text: escape(symbols(text)), standoff: 4 } : undefined);

/**
 * The x axis of a chart. `tilted`: names of categories are rotated.
 * @param {Cell} cell
 * @param {{ tilted?: boolean, numeric: boolean, looks: Looks }} context - `tilted`: names of categories are rotated.
 * @returns {Record<string, any>}
 */
export function xAxis(cell, { tilted = false, numeric, looks }) {
  const { chart } = cell;
  const values = cell.series.flatMap(({ rows }) => rows.map((row) => row[chart.x]));
  if (chart.kind === "moved") return blank();
  if (chart.kind === "heat")
    return {
      type: "category",
      nticks: numeric ? 6 : 30,
      tickangle: tilted ? -38 : 0,
      title: tilted ? undefined : title(chart.x_title),
    };
  if (!numeric || chart.kind === "bar")
    return {
      type: "category",
      tickangle: tilted ? -38 : 0,
      showgrid: !looks.fixed,
      title: tilted ? undefined : title(chart.x_title),
    };
  if (chart.log_x) return { ...DECADES, title: title(chart.x_title) };
  if (chart.kind === "path")
    return { range: reach(values), tickformat: ".0%", nticks: 7, title: { ...title(chart.x_title), standoff: 6 } };
  const whole = values.every(Number.isInteger),
    span = largest(values) - smallest(values);
  return {
    title: title(chart.x_title),
    nticks: looks.history ? 5 : 6,
    ...(chart.x === "edits" ? { rangemode: "tozero" } : {}),
    ...(whole && span <= 6 && chart.x !== "edits" ? { dtick: 1 } : {}),
    ...(looks.fixed ? { tickformat: "," } : {}),
  };
}

/**
 * The y axis of a chart. `beside`: rows of another result to compare with.
 * @param {Cell} cell
 * @param {Tables} data
 * @param {{ looks: Looks, beside: any[] | null }} context - `beside`: rows of another result to compare with.
 * @returns {Record<string, any>}
 */
export function yAxis(cell, data, { looks, beside }) {
  const { chart, series } = cell;
  if (chart.kind === "moved") return blank();
  if (chart.kind === "heat") {
    const names = new Set(series.flatMap(({ rows }) => rows.map((row) => row[chart.y])));
    return { type: "category", autorange: "reversed", nticks: names.size > 20 ? 7 : 21 };
  }
  const values = series.flatMap(({ rows, y }) => rows.map((row) => row[y])),
    unit = unitOf(chart, data);
  const alike = beside ? rangeOf(chart, [...series.flatMap(({ rows }) => rows), ...beside]) : {};
  if (chart.log_y) {
    if (looks.history || looks.fixed) return { type: "log", ...powers(values) };
    return { type: "log", nticks: 4, exponentformat: "power", ...alike };
  }
  if (chart.kind === "path") {
    const lines = cell.lines.map(({ value }) => value);
    return { range: reach([...values, ...lines]), tickformat: ".0%", nticks: 6 };
  }
  if (looks.near) return { tickformat: ".0%", rangemode: "tozero", nticks: 4 };
  if (unit === "share" && values.every((value) => value >= 0 && value <= 1))
    return looks.fixed
      ? {
          ...SHARES,
          range: [0, Math.max(1.04, largest(series.flatMap(({ rows }) => rows.map((row) => row[chart.y_high] ?? 0))))],
        }
      : SHARES;
  if (unit === "share") return { tickformat: ".0%", nticks: 4, ...alike };
  if (unit === "cosine") return { range: RANGE, nticks: 5 };
  if (unit === "correlation") return { range: [-1.03, 1.03], tickvals: [-1, -0.5, 0, 0.5, 1] };
  return { nticks: 4, ...(looks.history ? { rangemode: "tozero" } : {}), ...alike };
}

const blank = () => ({
  linecolor: css("--hair"),
  showticklabels: false,
  showgrid: false,
  zeroline: false,
  mirror: true,
  showline: true,
});

/** Powers of ten as ticks; every second one if there are many. */
function powers(values) {
  const above = values.filter((value) => value > 0).map(Math.log10),
    step = largest(above) - smallest(above) > 6 ? 2 : 1;
  const shown = POWERS.filter((power) => power % step === 0);
  const said = (power) =>
    power > 3
      ? `10${[...String(power)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}`
      : (10 ** power).toLocaleString("en", { maximumFractionDigits: 4 }).replace(/^0\./, ".");
  return { tickvals: shown.map((power) => 10 ** power), ticktext: shown.map(said) };
}

/**
 * From a round number below all shares to a little over 1.
 * @param {number[]} values
 * @returns {[number, number]}
 */
export function reach(values) {
  const low = Math.min(0.9, ...values);
  return [Math.max(-0.02, Math.floor(20 * low - 0.2) / 20), 1.02];
}

/** A range that covers all of these rows, with their intervals. */
function rangeOf(chart, rows) {
  const ends = [chart.y, chart.y_low, chart.y_high].filter(Boolean);
  const values = rows
    .flatMap((row) => ends.map((end) => row[end]))
    .filter((value) => typeof value === "number" && (!chart.log_y || value > 0))
    .map((value) => (chart.log_y ? Math.log10(value) : value));
  if (!values.length) return {};
  const base = chart.kind === "bar" ? [0] : [],
    least = smallest([...base, ...values]),
    most = largest([...base, ...values]),
    margin = 0.05 * (most - least) || 0.5;
  return { range: [least - margin, most + margin] };
}
