// The switches above a plot: its numbers, its layer, and which of many small charts.
import { h } from "../shared/dom.js";
import { leftAlone, layerOf } from "./layers.js";
import { label } from "./marks.js";
import { distinct, optionsOf, picksOf } from "./select.js";

const FEW = 4, // small charts that are shown together
  SWITCH = 5; // options that are shown side by side
const ALL = "all of them";

/**
 * What a plot shows: the view of the page with the plot's choices applied.
 * @param {Plot} plot
 * @param {Tables} data
 * @param {{ lanes: any[], round: number | null, layer: number | null, state: Record<string, any> }} page
 * @returns {Looked}
 */
export function viewOf(plot, data, { lanes, round, layer, state }) {
  const picks = { ...state };
  for (const choice of plot.choices || [])
    if (choice.shared)
      picks[choice.name] = layerOf(
        optionsOf(choice, plot, data).map(([key]) => key),
        layer,
      );
  const facets = facetsOf(plot, data),
    facet =
      facets.length > FEW ? (facets.includes(state.facet) || state.facet === ALL ? state.facet : facets[0]) : null;
  return { lanes, round, picks: picksOf(plot, data, { picks }), facet };
}

function facetsOf(plot, data) {
  const [{ table, facet }] = plot.charts;
  return facet && facet !== "lane" ? distinct(data.rows[table] || [], facet) : [];
}

/** The groups of options of a plot: `{ name, label, shared, values: [[key, text]], chosen }` each. */
function groupsOf(plot, data, view) {
  const groups = (plot.choices || []).map((choice) => ({
    name: choice.name,
    label: choice.label,
    shared: choice.shared,
    chosen: view.picks[choice.name],
    values: optionsOf(choice, plot, data).map(([key, text]) => [key, choice.shared ? text + leftAlone(key) : text]),
  }));
  const facets = facetsOf(plot, data),
    name = plot.charts[0].facet;
  if (facets.length > FEW)
    groups.push({
      name: "facet",
      label: name,
      chosen: view.facet,
      values: [...facets.map((value) => [value, label(name, value)]), [ALL, ALL]],
    });
  return groups.filter(({ values }) => values.length > 1);
}

/**
 * Put the switches into `box`; `pick(name, key, shared)` is called with each choice.
 * @param {HTMLElement} box
 * @param {Plot} plot
 * @param {Tables} data
 * @param {Looked} view
 * @param {(name: string, key: any, shared?: boolean) => void} pick - called with a choice.
 */
export function paintChoices(box, plot, data, view, pick) {
  const groups = groupsOf(plot, data, view),
    wanted = JSON.stringify(groups);
  if (box.dataset.painted === wanted) return;
  box.dataset.painted = wanted;
  box.replaceChildren(
    ...groups.map(({ name, label: says, values, chosen, shared }) =>
      values.length > SWITCH
        ? h(
            "select",
            { "aria-label": says, onchange: (event) => pick(name, values[event.target.selectedIndex][0], shared) },
            values.map(([key, text]) => h("option", { selected: key === chosen }, text)),
          )
        : h(
            "div",
            { class: "switch", role: "group", "aria-label": says },
            values.map(([key, text]) =>
              h(
                "button",
                { type: "button", "aria-pressed": String(key === chosen), onclick: () => pick(name, key, shared) },
                text,
              ),
            ),
          ),
    ),
  );
}
