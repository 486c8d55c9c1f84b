// Heat maps, on one colour scale for all that are side by side.
import { css } from "../shared/dom.js";
import { escape, hoverText } from "./marks.js";
import { distinct } from "./select.js";
import { known } from "./units.js";

/**
 * One scale for these rows: from 0 if nothing is negative, otherwise symmetric around 0.
 * @param {any} chart
 * @param {any[]} rows
 * @returns {{ zmin: number, zmax: number, colorscale: [number, string][] }}
 */
export function scaleOf(chart, rows) {
  const values = rows.map((row) => row[chart.z]).filter(known),
    least = values.reduce((a, b) => Math.min(a, b), Infinity),
    most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const card = css("--card");
  if (least < 0) {
    const end = Math.max(-least, most);
    return {
      zmin: -end,
      zmax: end,
      colorscale: [
        [0, css("--cool")],
        [0.5, card],
        [1, css("--warm")],
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

/**
 * The trace of one heat map; `last`: the colour bar is beside it.
 * @param {Cell} cell
 * @param {Tables} data
 * @param {{ xaxis: string, yaxis: string }} place - its axes.
 * @param {{ worn: Worn, lines: (name: string) => string }} context
 * @param {object} scale
 * @param {boolean} last - whether the colour bar is beside it.
 * @returns {object}
 */
export function heat(cell, data, place, { worn, lines }, scale, last) {
  const { chart, series, lanes } = cell,
    rows = series.flatMap((one) => one.rows);
  const columns = distinct(rows, chart.x),
    down = distinct(rows, chart.y);
  const at = new Map(rows.map((row) => [`${row[chart.x]} ${row[chart.y]}`, row]));
  const grid = (give) => down.map((y) => columns.map((x) => give(at.get(`${x} ${y}`))));
  const said = (row) => (row ? hoverText(row, { lane: lanes[0], y: chart.y }, cell, data, worn) : "");
  return {
    type: "heatmap",
    lane: lanes[0],
    column: chart.z,
    x: columns.map((value) => (typeof value === "number" ? String(value) : lines(value))),
    y: down.map((value) => (typeof value === "number" ? String(value) : escape(value))),
    z: grid((row) => row?.[chart.z] ?? null),
    text: grid(said),
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
