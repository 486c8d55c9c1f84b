// The look of series: colours, dashes and marks of lanes, of values of a column, of references and of families.
import { css } from "../shared/dom.js";
import * as lanes from "../shared/lanes.js";
import { distinct } from "./select.js";

export const SERIES = 8; // colours of series that are not lanes
export const MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "x"];

/** How the lanes of the run on the page look. */
export const LANES = {
  colour: lanes.colour,
  dash: lanes.dash,
  marker: lanes.marker,
  slot: lanes.slotOf,
  text: (lane) => css(`--text-${lanes.slotOf(lane)}`),
  name: (lane) => lane,
};

/** Between two colours of the style sheet, both as #rrggbb. */
function mixed(first, last, share) {
  const parts = (name) => (css(name).match(/[0-9a-f]{2}/gi) || []).map((part) => parseInt(part, 16));
  const [from, to] = [parts(first), parts(last)];
  return `rgb(${from.map((part, i) => Math.round(part + share * (to[i] - part))).join(",")})`;
}

/**
 * The colour of a value of the column that splits a chart into series: steps from light to dark for numbers in
 * order, otherwise colours that are easy to distinguish.
 * @param {any[]} values - all values of the column.
 * @param {any} value
 * @returns {string}
 */
export function byColour(values, value) {
  const place = values.indexOf(value);
  if (values.length > 1 && typeof value === "number") return mixed("--ramp-0", "--ramp-1", place / (values.length - 1));
  return css(`--series-${(place % SERIES) + 1}`);
}
/**
 * @param {any[]} values - all values of the column.
 * @param {any} value
 * @returns {string}
 */
export const byMarker = (values, value) => MARKERS[values.indexOf(value) % MARKERS.length];

/**
 * `{ colour, dash, symbol, width }` of a series.
 * @param {any} chart
 * @param {Series} series
 * @param {Tables} data
 * @param {Worn} worn
 * @returns {{ colour: string, dash: string, symbol?: string, width: number }}
 */
export function wornBy(chart, series, data, worn) {
  if (series.reference) {
    const { dash, width } = series.reference;
    return { colour: css(width > 2 ? "--base" : "--muted"), dash, width };
  }
  if (series.family) return { colour: css("--muted"), dash: "dot", width: 2 };
  if (chart.by) {
    const values = distinct(data.rows[chart.table], chart.by);
    return { colour: byColour(values, series.by), dash: "solid", symbol: byMarker(values, series.by), width: 2 };
  }
  const hollow = chart.hollow && (data.rows[chart.hollow] || []).some(({ lane }) => lane === series.lane);
  return {
    colour: worn.colour(series.lane),
    dash: series.also ? "dot" : chart.y_also ? "solid" : worn.dash(series.lane),
    symbol: hollow ? "star-open" : worn.marker(series.lane),
    width: 2,
  };
}
