// The look of lanes: colour, mark and dash, the same in all charts.
import { css } from "./dom.js";
import { run, view } from "./state.js";

/** The number of colours; further lanes reuse them with another mark and dash. */
export const SLOTS = 6;
const MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "x"];
const DASHES = ["solid", "solid", "dash", "dot", "dashdot", "longdash"];

/**
 * The slots (1..6) of the colours of this many lanes: as chosen in this browser, else the slot that the fewest earlier
 * lanes use. So added lanes do not change the colours of others.
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
 * A lane's colour from the style sheet.
 * @param {string} lane
 * @returns {string}
 */
export const colour = (lane) => css(`--lane-${slotOf(lane)}`);

/**
 * A lane's mark, by Plotly's name.
 * @param {string} lane
 * @returns {string}
 */
export const marker = (lane) => kindOf(lane, MARKERS);

/**
 * A lane's dash, by Plotly's name.
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
 * Restore the colours of a run from this browser. They do not affect results.
 * @param {string} id
 * @param {number[] | null | false} [chosen] - the slots to store.
 */
export function keepColours(id, chosen) {
  const key = `editlab:colours:${id}`;
  if (chosen) localStorage.setItem(key, JSON.stringify(chosen));
  run.colours = JSON.parse(localStorage.getItem(key) || "null");
}
