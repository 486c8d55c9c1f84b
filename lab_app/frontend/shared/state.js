// The state that all parts of the page share: run, round, layer.

/** @type {View} */
export const view = { run: "", round: null, layer: null, hidden: new Set() };

/** @type {Run} */
export const run = { lanes: [], layers: {}, rounds: 0, facts: 0, model: {}, measured: [], edits: {}, moved: {} };

/** @type {Form} */
export const form = {};

/** @type {Set<(change: Change) => void>} */
const listeners = new Set();

/**
 * Notify every part of a change of this state.
 * @param {Change} change - the changed values; empty for other changes, such as of the theme.
 */
export function tell(change = {}) {
  Object.assign(view, change);
  listeners.forEach((listener) => listener(change));
}

/**
 * Subscribe to changes of this state.
 * @param {(change: Change) => void} listener
 */
export function listen(listener) {
  listeners.add(listener);
}

/**
 * Prompts that the next run repeats at every measured round. They are stored in the form of its lanes.
 * @param {string[]} [next] - the prompts to save.
 * @returns {string[]}
 */
export function savedProbes(next) {
  if (next && form.probes) form.probes(next);
  return form.probes?.() || [];
}

/**
 * Hide or show the experiment.
 * @param {boolean} folded
 */
export function foldExperiment(folded) {
  document.body.classList.toggle("folded", folded);
  tell({});
}
