// The charts of lessons: few series and large fonts, for a projector.
import { drawn } from "../charts/draw.js";
import { LESSON } from "../charts/frame.js";
import * as plotly from "../charts/plotly.js";
import { known } from "../charts/units.js";
import { MARKERS } from "../charts/worn.js";
import { css, h } from "../shared/dom.js";
import { isDark } from "../shared/theme.js";

const TALL = 330, // px, unless the style sheet says otherwise
  DASHES = ["solid", "dash", "dot", "dashdot"],
  ONLY = 2; // the slot of an unnamed series

/** The look of a lesson's series: each has the slot of a lane's colour; 0 is grey. */
function wornOf(series) {
  const slots = new Map(series);
  const slot = (name) => slots.get(name) ?? ONLY,
    place = (name) => Math.max(0, [...slots.keys()].indexOf(name));
  return {
    slot,
    colour: (name) => css(slot(name) ? `--lane-${slot(name)}` : "--base"),
    dash: (name) => DASHES[place(name) % DASHES.length],
    marker: (name) => MARKERS[place(name) % MARKERS.length],
    text: () => css("--ink"),
    name: (name) => name,
    hatched: (name) => !slot(name),
  };
}

/**
 * The chart of a lesson.
 * @param {Part} figure - the element to draw into.
 * @param {any} chart
 * @param {[string, number][]} series - their names and slots of colours.
 * @returns {(rows: any[], shownOf: string) => void} draws the rows so far.
 */
export function lessonChart(figure, chart, series) {
  const canvas = figure.querySelector(".plot"),
    legend = figure.querySelector(".legend");
  const worn = wornOf(series),
    plot = { charts: [{ ...chart, by: null }] };
  let rows = [],
    revision = "",
    painted = "";

  function draw() {
    if (!plotly.ready() || !canvas.clientWidth) return;
    const wanted = JSON.stringify([rows, revision, canvas.clientWidth, isDark()]);
    if (wanted === painted) return;
    painted = wanted;
    figure.classList.toggle("has-data", rows.length > 0);
    legend?.replaceChildren();
    if (!rows.length) return plotly.clear(canvas);
    const there = new Set(rows.map(({ lane }) => lane)),
      lanes = chart.by ? series.map(([name]) => name).filter((name) => there.has(name)) : [...there];
    if (lanes.length > 1) legend?.replaceChildren(...lanes.map(key));
    const height = Number(getComputedStyle(figure).getPropertyValue("--tall")) || TALL,
      box = { width: canvas.clientWidth, wide: true, height };
    const data = { rows: { [chart.table]: rows }, columns: {}, lanes },
      view = { lanes, round: null, picks: {}, facet: null };
    const picture = drawn(plot, data, view, box, { worn, looks: LESSON });
    plotly.put(canvas, picture, box, revision, { font: LESSON.font, still: true });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${chart.title}: ${lanes.join(", ")}`);
  }
  const key = (name) =>
    h(
      "span",
      { class: worn.slot(name) ? `slot-${worn.slot(name)}` : "base" },
      h("i", { class: `dot ${chart.kind === "bar" ? "square" : worn.marker(name)}`, "aria-hidden": "true" }),
      name,
    );
  new ResizeObserver(draw).observe(canvas);
  plotly.whenReady(draw);

  return (all, shownOf) => {
    rows = all
      .filter((row) => row.table === chart.table && known(row[chart.y]))
      .map((row) => ({ ...row, lane: chart.by ? row[chart.by] : chart.title }));
    revision = shownOf;
    draw();
  };
}
