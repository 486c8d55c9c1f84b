// How lanes look: the colour, mark and dash of each, the same in all charts.
import { css } from "./dom.js";
import { run, view } from "./state.js";

/** So many colours there are; beyond, a colour comes again with another mark and dash. */
export const SLOTS = 6;
const MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "x"];
const DASHES = ["solid", "solid", "dash", "dot", "dashdot", "longdash"];

/**
 * The slots (1..6) of so many lanes' colours: as chosen in this browser, else the one that the fewest of the lanes
 * before wear. So lanes that come later change the colour of none.
 * @param {number} count
 * @returns {number[]}
 */
export function slotsOf(count) {
  const found = /** @type {number[]} */ ([]),
    worn = Array(SLOTS + 1).fill(0);
  for (let place = 0; place < count; place++) {
    const fewest = worn.indexOf(Math.min(...worn.slice(1)), 1);
    found.push(run.colours?.[place] || fewest);
    worn[found[place]] += 1;
  }
  return found;
}

/** @param {string} lane */
const placeOf = (lane) => Math.max(0, run.lanes.indexOf(lane));
/** @param {string} lane @param {string[]} kinds */
const kindOf = (lane, kinds) => kinds[(placeOf(lane) + Math.floor(placeOf(lane) / SLOTS)) % SLOTS];

/**
 * The slot of a lane's colour.
 * @param {string} lane
 * @returns {number}
 */
export const slotOf = (lane) => slotsOf(placeOf(lane) + 1)[placeOf(lane)];

/**
 * A lane's colour, as the style sheet has it.
 * @param {string} lane
 * @returns {string}
 */
export const colour = (lane) => css(`--lane-${slotOf(lane)}`);

/**
 * A lane's mark, as Plotly names it.
 * @param {string} lane
 * @returns {string}
 */
export const marker = (lane) => kindOf(lane, MARKERS);

/**
 * A lane's dash, as Plotly names it.
 * @param {string} lane
 * @returns {string}
 */
export const dash = (lane) => kindOf(lane, DASHES);

/**
 * The lanes that are not hidden.
 * @returns {string[]}
 */
export const shown = () => run.lanes.filter((lane) => !view.hidden.has(lane));

/**
 * Take the colours of a run that are kept in this browser; they change nothing that is measured.
 * @param {string} id
 * @param {number[] | null | false} [chosen] - the slots to keep from now on.
 */
export function keepColours(id, chosen) {
  const key = `editlab:colours:${id}`;
  if (chosen) localStorage.setItem(key, JSON.stringify(chosen));
  run.colours = JSON.parse(localStorage.getItem(key) || "null");
}
