// The numbers above a plot, and the legend of its colours.
import { h } from "../shared/dom.js";
import { label } from "./marks.js";
import { distinct, isSplit } from "./select.js";
import { known, precise, UNITS } from "./units.js";
import { byColour, byMarker, LANES, SERIES } from "./worn.js";

/**
 * A lane's mark and a text, in its colour.
 * @param {any} lane
 * @param {string} text
 * @param {string} title - its tooltip.
 * @param {Worn} worn
 * @returns {HTMLElement}
 */
export const laneText = (lane, text, title = "", worn = LANES) =>
  h(
    "b",
    { class: `slot-${worn.slot(lane)}`, title: `${worn.name(lane)}: ${title}` },
    h("i", { class: `dot slot-${worn.slot(lane)} ${worn.marker(lane)}`, "aria-hidden": "true" }),
    text,
  );

/**
 * The big numbers of a plot: each with its name, its unit and its protocol.
 * @param {BigNumber[]} numbers
 * @param {Worn} worn
 * @returns {HTMLElement[]}
 */
export function figures(numbers, worn = LANES) {
  return numbers.map(({ title, unit, values, wears }) => {
    const sign = UNITS[unit][0];
    const tip = (value, of) =>
      [precise(value, unit), known(of) ? `of ${of.toLocaleString("en")}` : ""].join(" ").trim();
    return h(
      "div",
      { class: "number" },
      h("span", { class: "name" }, title, sign ? h("small", { class: "unit" }, ` ${sign}`) : null),
      h(
        "span",
        { class: "values" },
        values.map(([lane, value, text, of]) =>
          known(lane) ? laneText(lane, text, tip(value, of), worn) : h("b", {}, text),
        ),
      ),
      wears ? h("span", { class: "wears", title: wears }, wears) : null,
    );
  });
}

/**
 * The legend of a study's chart: colours, marks and lines.
 * @param {any} chart
 * @param {any[]} lanes
 * @param {Tables} data
 * @param {Worn} worn
 * @returns {HTMLElement[]}
 */
export function legend(chart, lanes, data, worn = LANES) {
  if (chart.kind === "heat") return [];
  const key = (name, colour, mark) =>
    h("span", { class: "series" }, h("i", { class: `dot ${mark}`, style: `background:${colour}` }), name);
  const values = chart.by ? distinct(data.rows[chart.table] || [], chart.by) : [];
  const few = values.length > SERIES && typeof values[0] === "number";
  const shown = few ? [values[0], values[values.length >> 1], values.at(-1)] : values;
  const found = chart.by
    ? shown.map((value) => key(label(chart.by, value), byColour(values, value), byMarker(values, value)))
    : isSplit(chart)
      ? []
      : lanes.map((lane) => key(worn.name(lane), worn.colour(lane), worn.marker(lane)));
  if (known(chart.line) && chart.line_label)
    found.push(h("span", { class: "series" }, h("i", { class: "stroke" }), chart.line_label));
  return [h("div", { class: "keys" }, found)];
}
