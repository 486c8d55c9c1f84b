// A plot as Plotly data: the traces and the layout of its small charts. This module does not touch the page.
import { css } from "../shared/dom.js";
import { xAxis, yAxis } from "./axes.js";
import { frameOf, PANEL } from "./frame.js";
import { heat, scaleOf } from "./heat.js";
import { escape, footOf, label, tracesOf } from "./marks.js";
import { cellsOf, isSplit } from "./select.js";
import { known, precise } from "./units.js";
import { LANES } from "./worn.js";

const axisName = (letter, i) => `${letter}axis${i ? i + 1 : ""}`;
const anchor = (letter, i) => `${letter}${i ? i + 1 : ""}`;

/**
 * The traces and the layout of `plot` over these tables. `view`: `{ lanes, round, picks, facet }`; `box`: the room
 * there is, `{ width, wide, height }`; `worn`: how lanes look; `beside`: rows of another result to
 * compare with.
 * @param {Plot} plot
 * @param {Tables} data
 * @param {Looked} view
 * @param {Box & { height?: number }} box
 * @param {{ worn?: Worn, looks?: Looks, beside?: any[] | null }} options - `beside`: rows of another result to compare with.
 * @returns {Picture}
 */
export function drawn(plot, data, view, box, { worn = LANES, looks = PANEL, beside = null } = {}) {
  const cells = cellsOf(plot, data, view);
  if (!cells.length) return { traces: [], layout: {}, cells, columns: 1 };
  const frame = frameOf(plot, cells, box, looks),
    { domains, lines, columns } = frame;
  /** @type {Record<string, any>} */
  const layout = { height: frame.height, margin: frame.margin, annotations: [], shapes: [], barmode: "group" };
  layout.bargap = looks.fixed ? 0.28 : 0.25;
  if (looks.fixed) Object.assign(layout, { bargroupgap: 0.06, dragmode: false });
  const rows = cells.flatMap(({ series }) => series.flatMap((one) => one.rows));
  const scale = cells[0].chart.kind === "heat" ? scaleOf(cells[0].chart, [...rows, ...(beside || [])]) : null;
  const traces = cells.flatMap((cell, i) => {
    const { chart } = cell,
      place = { xaxis: anchor("x", i), yaxis: anchor("y", i) },
      { x, y } = alike(plot, cells, i, frame);
    const fixed = looks.fixed || looks.margins ? { fixedrange: true } : {};
    layout[axisName("x", i)] = {
      ...xAxis(cell, { ...frame, looks }),
      ...fixed,
      domain: domains[i].x,
      anchor: anchor("y", i),
      matches: x,
    };
    layout[axisName("y", i)] = {
      ...yAxis(cell, data, { looks, beside }),
      ...fixed,
      domain: domains[i].y,
      anchor: anchor("x", i),
      matches: y,
      ...(plot.side_by_side && i % columns ? { showticklabels: false } : {}),
    };
    if (plot.side_by_side) delete layout[axisName("x", i)].title;
    layout.annotations.push(...titles(cell, domains[i], { box, worn, looks, alone: cells.length === 1 }));
    for (const line of cell.lines) reference(layout, line, cell, place, { worn, looks, box, rows });
    if (chart.x === "round" && view.round !== null && frame.numeric && !chart.log_x && chart.kind !== "heat")
      layout.shapes.push(rule("x", view.round, place, { color: css("--accent"), width: 1 }));
    layout.annotations.push(...named(cell, place));
    if (scale) return [heat(cell, data, place, { worn, lines }, scale, i === cells.length - 1)];
    return tracesOf(cell, data, place, { worn, looks, lines, round: view.round });
  });
  if (plot.side_by_side) layout.annotations.push(corner(cells[0].chart.x_title));
  return { traces, layout, cells, columns };
}

/** The axes that a small chart shares with another one, so that they can be compared. */
function alike(plot, cells, i, { together, numeric }) {
  const { chart } = cells[i],
    first = i - (i % together);
  if (plot.side_by_side || chart.kind === "moved") return i ? { x: "x", y: "y" } : {};
  if (plot.charts.length > 1) return i && chart.x === cells[0].chart.x ? { x: "x" } : {};
  if (chart.kind === "heat") return {};
  if (chart.kind === "scatter") return i ? { x: "x", y: "y" } : {};
  return first === i ? {} : { x: numeric ? anchor("x", first) : undefined, y: anchor("y", first) };
}

/** The heading of a small chart: its facet, and the lane that it shows. */
function titles({ chart, facet, lanes }, domain, { box, worn, looks, alone }) {
  const lane = isSplit(chart) && (!alone || chart.facet === "lane") ? lanes[0] : null;
  const said = [facet === null ? null : label(chart.facet, facet), lane === null ? null : worn.name(lane)].filter(
    Boolean,
  );
  const kept = chart.kind === "path" ? [chart.y_title] : said;
  if (!kept.length || looks.fixed) return [];
  return [
    {
      text: escape(kept.join(" · ")),
      xref: "paper",
      yref: "paper",
      x: domain.x[0],
      y: domain.y[1],
      yshift: 3,
      xanchor: "left",
      yanchor: "bottom",
      showarrow: false,
      font: {
        size: box.wide ? 14 : 12.5,
        color: chart.kind === "path" ? css("--faint") : lane === null ? css("--ink") : worn.text(lane),
      },
    },
  ];
}

/** A line across a small chart at a position on one of its axes. */
function rule(axis, value, { xaxis, yaxis }, line) {
  const along = axis === "x" ? "y" : "x",
    [own, other] = axis === "x" ? [xaxis, yaxis] : [yaxis, xaxis];
  const refs = { [`${axis}ref`]: own, [`${along}ref`]: `${other} domain` };
  return { type: "line", ...refs, [`${axis}0`]: value, [`${axis}1`]: value, [`${along}0`]: 0, [`${along}1`]: 1, line };
}

/** A reference line or a shaded area, with its label. */
function reference(layout, { rule: declared, value, label: text, lane }, { chart, lines, series }, place, context) {
  const { axis, dash, shade } = declared,
    { worn, looks, box, rows } = context;
  if (chart.kind === "heat") return;
  const colour = known(lane) ? worn.colour(lane) : css("--muted");
  const shape = rule(axis, value, place, { color: colour, width: known(lane) ? 1.8 : 1.5, dash });
  if (shade)
    Object.assign(shape, {
      type: "rect",
      [`${axis}0`]: 1,
      fillcolor: css("--shade"),
      line: { width: 0 },
      layer: "below",
    });
  layout.shapes.push(shape);
  if (!text || (!looks.history && !looks.fixed)) return; // studies show it in their legend
  const log = axis === "x" ? chart.log_x : chart.log_y,
    at = log ? Math.log10(value) : value;
  if (axis === "y") {
    const left = chart.kind === "path";
    layout.annotations.push({
      text: escape(text),
      xref: `${place.xaxis} domain`,
      x: left ? 0.01 : 1,
      xanchor: left ? "left" : "right",
      yref: place.yaxis,
      y: at,
      yanchor: left ? "top" : "bottom",
      showarrow: false,
      font: { color: css(left ? "--faint" : "--muted"), size: looks.font || 11.5 },
    });
    return;
  }
  const last = rows.reduce((most, row) => Math.max(most, row[chart.x]), 1),
    left = Math.log(value) > 0.5 * Math.log(last),
    shades = lines.filter((line) => line.rule.shade);
  layout.annotations.push({
    text: escape(text),
    xref: place.xaxis,
    x: at,
    xanchor: left ? "right" : "left",
    xshift: left ? -5 : 5,
    yref: `${place.yaxis} domain`,
    y: 1 - 0.12 * shades.findIndex((line) => line.value === value),
    yanchor: "top",
    showarrow: false,
    font: { color: css("--ink"), size: box.wide ? 15 : 13 },
    visible: series.length > 0,
  });
}

/** Labels at the start of reference series, with the value if it is constant. */
function named(cell, place) {
  const { chart, series } = cell,
    foot = chart.floor ? footOf(cell) : 0;
  return series
    .filter(({ reference: one }) => one?.label)
    .map(({ reference: one, rows, y }) => {
      const same = rows.every((row) => row[y] === rows[0][y]),
        at = Math.max(foot, rows[0][y]);
      return {
        text: escape(same ? `${one.name}: ${precise(rows[0][y])}` : one.name),
        xref: `${place.xaxis} domain`,
        x: 0,
        xanchor: "left",
        yref: place.yaxis,
        y: chart.log_y ? Math.log10(at) : at,
        yanchor: "bottom",
        showarrow: false,
        font: { color: css("--muted"), size: 11.5 },
      };
    });
}

/** One title for all bottom axes. */
const corner = (text) => ({
  text: escape(text),
  xref: "paper",
  yref: "paper",
  x: 1,
  y: 0,
  yshift: 20,
  xanchor: "right",
  yanchor: "top",
  showarrow: false,
  font: { color: css("--faint") },
});
