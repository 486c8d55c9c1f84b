// What all parts of the page share: which run, which round, which layer.

/** @type {View} */
export const view = { run: "", round: null, layer: null, hidden: new Set() };

/** @type {Run} */
export const run = { lanes: [], layers: {}, rounds: 0, facts: 0, model: {}, measured: [], edits: {}, moved: {} };

/** @type {Form} */
export const form = {};

/** @type {Set<(change: Change) => void>} */
const listeners = new Set();

/**
 * Tell every part that what is looked at has changed.
 * @param {Change} change - what is new of it; nothing: something else, such as light or dark.
 */
export function tell(change = {}) {
  Object.assign(view, change);
  listeners.forEach((listener) => listener(change));
}

/**
 * Be told whenever what is looked at changes.
 * @param {(change: Change) => void} listener
 */
export function listen(listener) {
  listeners.add(listener);
}

/**
 * Prompts that the next run is asked at every measured round: they travel with its lanes, whose form holds them.
 * @param {string[]} [next] - those to have from now on.
 * @returns {string[]}
 */
export function savedProbes(next) {
  if (next && form.probes) form.probes(next);
  return form.probes?.() || [];
}

/**
 * Hide the experiment, or show it.
 * @param {boolean} folded
 */
export function foldExperiment(folded) {
  document.body.classList.toggle("folded", folded);
  tell({});
}
