// What all parts of the page share: which run, which round, which layer.

/** What is looked at. `round` null: the latest; `hidden`: lanes that are not shown. */
export const view = { run: "", round: null, layer: null, hidden: new Set() };

/** What is known of the run that is shown. */
export const run = { lanes: [], layers: {}, rounds: 0, facts: 0, model: {}, measured: [], edits: {}, moved: {} };

/** What the form of the next run says that no spec holds; its parts are put here by the form that is on the page. */
export const form = {};

const listeners = new Set();

/** Tell every part that what is looked at has changed. */
export function tell(change = {}) {
  Object.assign(view, change);
  listeners.forEach((listener) => listener(change));
}

/** Call `listener(change)` whenever what is looked at changes. */
export const listen = (listener) => listeners.add(listener);

/** Prompts that the next run is asked at every measured round: they travel with its lanes, whose form holds them. */
export function savedProbes(next) {
  if (next && form.probes) form.probes(next);
  return form.probes?.() || [];
}

/** Hide the experiment, or show it. */
export function foldExperiment(folded) {
  document.body.classList.toggle("folded", folded);
  tell({});
}
