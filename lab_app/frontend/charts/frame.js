// The layout of small charts on their canvas: columns, heights, and the space for names.
import { isNumeric } from "./axes.js";
import { escape } from "./marks.js";
import { isSplit } from "./select.js";

/** How plots look in each place: on panels that are fed, for studies, for lessons that are read from the back of a room,
 * and where little room is. */
export const PANEL = { history: true, mark: () => 4.5, line: (chart) => (chart.at_round ? 1.8 : 2.5), whisker: 1 };
export const STUDY = { mark: () => 5, line: () => 2, whisker: 1 };
export const LESSON = {
  fixed: true,
  words: true,
  font: 16,
  mark: (count) => (count > 30 ? 5 : 9),
  line: () => 3,
  whisker: 1.6,
};
export const SMALL = {
  ...PANEL,
  history: false,
  near: true,
  margins: { left: 40, right: 10, top: 8, bottom: 34, inner: 114 },
  mark: () => 0,
  line: () => 2.4,
};

/** A category's name, escaped and broken into lines. */
function broken(text, letters) {
  const found = [""];
  for (const word of String(text).split(" "))
    if (found.at(-1) && `${found.at(-1)} ${word}`.length > letters) found.push(word);
    else found[found.length - 1] = `${found.at(-1)} ${word}`.trim();
  return found.map(escape).join("<br>");
}

/** `{ left, right, gap, top, bottom, inner, least }` in px: margins of the canvas, what lies between two charts, over and
 * under each, how tall it is, and how narrow it may be. */
function measures(plot, cells, box, looks) {
  const [{ chart }] = cells,
    { kind } = chart;
  if (looks.margins) return { gap: 0, least: 1, ...looks.margins };
  if (looks.fixed) return { left: 58, right: 14, gap: 0, top: 22, bottom: chart.x_title ? 36 : 6, inner: 0, least: 1 };
  if (!looks.history) return study(chart, cells, box);
  if (kind === "path")
    return {
      left: 46,
      right: 14,
      gap: 0,
      top: 22,
      bottom: 40,
      inner: box.wide ? 498 : box.width < 480 ? 238 : 278,
      least: 1,
    };
  if (kind === "moved")
    return { left: 10, right: 10, gap: 18, top: 24, bottom: 10, inner: box.wide ? 486 : 266, least: 1 };
  if (plot.side_by_side)
    return {
      left: 38,
      right: 10,
      gap: 26,
      top: 10,
      bottom: 42,
      inner: box.wide ? 368 : 138,
      least: box.width < 480 ? 134 : 90,
    };
  if (cells.length > 1)
    return { left: 38, right: 10, gap: 46, top: 10, bottom: 42, inner: box.wide ? 408 : 164, least: 120 };
  return { left: 40, right: 12, gap: 0, top: 8, bottom: 34, inner: box.wide ? 418 : 174, least: 1 };
}

function study(chart, cells, box) {
  const heat = chart.kind === "heat";
  const rows = heat ? cells.flatMap(({ series }) => series.flatMap((one) => one.rows)) : [];
  const longest = rows.reduce((most, row) => Math.max(most, String(row[chart.y]).length - 3), 0);
  const left = heat ? 34 + 5.6 * longest : 46;
  const titled =
    cells.some(({ facet, lanes }) => facet !== null || (isSplit(chart) && lanes.length)) && cells.length > 1;
  return {
    left,
    right: heat ? 52 : 10,
    gap: heat ? left : 48,
    top: titled ? 24 : 8,
    bottom: chart.x_title ? 38 : 24,
    inner: box.wide ? (cells.length > 3 ? 260 : 400) : cells.length > 2 ? 150 : 190,
    least: heat ? 142 : 167,
  };
}

/**
 * The layout of the canvas for these cells, without its axes: `{ columns, height, margin, domains, lines, tilted,
 * numeric }`. `domains[i]` are those of cell i, `lines(name)` breaks the name of a category.
 * @param {Plot} plot
 * @param {Cell[]} cells
 * @param {Box & { height?: number }} box
 * @param {Looks} looks
 * @returns {Frame}
 */
export function frameOf(plot, cells, box, looks) {
  const found = measures(plot, cells, box, looks),
    { left, right, gap, top, inner, least } = found;
  const [{ chart }] = cells,
    together = isSplit(chart) && chart.facet !== "lane" ? new Set(cells.map(({ lanes }) => lanes[0])).size : 1;
  const fit = Math.max(1, Math.floor((box.width - left - right + gap) / (least + gap)));
  const most = plot.charts.length > 1 && !plot.side_by_side ? plot.charts.length : fit; // a pair stays side by side
  const columns =
    chart.kind === "moved"
      ? cells.length
      : together > 1
        ? Math.min(cells.length, fit > together ? fit - (fit % together) : fit)
        : Math.ceil(cells.length / Math.ceil(cells.length / most));
  const down = Math.ceil(cells.length / columns),
    width = box.width - left - right,
    each = (width - gap * (columns - 1)) / columns;
  const rows = cells.flatMap(({ series }) => series.flatMap((one) => one.rows));
  const numeric = isNumeric(rows, chart.x) && !(chart.kind === "bar" && looks.fixed);
  const names = numeric ? [] : [...new Set(rows.map((row) => row[chart.x]))];
  const letters = Math.max(6, Math.floor(each / Math.max(1, names.length) / (looks.fixed ? 9.2 : 7.5)));
  const deep = names.reduce((most_, name) => Math.max(most_, broken(name, letters).split("<br>").length), 1);
  const longest = names.reduce((most_, name) => Math.max(most_, String(name).length), 0);
  const tilted = !looks.fixed && !numeric && (deep > 3 || (chart.kind === "heat" && longest > letters));
  const room = looks.fixed ? 23 * deep : tilted ? Math.min(120, 4.8 * longest) : 14 * (deep - 1);
  const bottom = found.bottom + room,
    tall = looks.fixed ? box.height : inner + top + bottom;
  const height = tall * down;
  const domains = cells.map((_, i) => {
    const column = i % columns,
      row = Math.floor(i / columns);
    const x = [(column * (each + gap)) / width, Math.min(1, (column * (each + gap) + each) / width)];
    const y = [Math.max(0, 1 - (tall * (row + 1) - bottom) / height), Math.min(1, 1 - (tall * row + top) / height)];
    return /** @type {Frame["domains"][0]} */ ({ x, y });
  });
  return {
    columns,
    height,
    margin: { l: left, r: right, t: 0, b: 0 },
    domains,
    lines: (name) => (tilted ? escape(name) : broken(name, letters)),
    tilted,
    numeric,
    together,
  };
}
