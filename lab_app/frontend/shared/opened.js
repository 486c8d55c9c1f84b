// Opening another run on this page.
import { keepColours } from "./lanes.js";
import { form, run, tell, view } from "./state.js";

/**
 * Open another run. Its id goes into the address, for reloads and shared links.
 * @param {string} id
 */
export function opened(id) {
  if (!id || id === view.run) return;
  Object.assign(run, { lanes: [], layers: {}, rounds: 0, measured: [], edits: {}, moved: {} });
  view.hidden.clear();
  const address = new URL(location.href),
    started = address.searchParams.get("run") !== id;
  keepColours(id, started ? form.colours : null);
  if (started) {
    address.searchParams.set("run", id);
    history.replaceState(history.state, "", address);
  }
  tell({ run: id, round: null, layer: null });
}
