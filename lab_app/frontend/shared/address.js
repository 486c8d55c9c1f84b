// The page's address names what is shown: the run, the round, and the view (an enlarged panel, or a sheet over the
// page). Reloads, bookmarks and shared links restore it; Back closes a sheet.
import { target } from "./dom.js";
import { listen, run, tell } from "./state.js";

const SOON = 250; // ms: browsers limit how often an address may change
/** @type {Map<string | null, { dialog: HTMLDialogElement, shown: (view: string | null) => void }>} by the view's name */
const sheets = new Map();
/** @type {string | null} the run that the address named when the page was opened */
let first = null;
/** @type {string | null} the view that it named */
let wide = null;
let wanted = NaN, // its round, until the run has reached it
  timer = 0,
  pushed = 0;

/**
 * A part of the address.
 * @param {string} name
 * @returns {string | null}
 */
export const get = (name) => new URL(location.href).searchParams.get(name);

/**
 * Set or remove parts of the address.
 * @param {Record<string, any>} parts - null or "" removes a part.
 * @param {boolean} step - whether Back undoes it.
 */
function write(parts, step = false) {
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(parts))
    if (value === null || value === "") address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  if (address.href !== location.href) history[step ? "pushState" : "replaceState"](history.state, "", address);
}

/**
 * A dialog that is open while the address names one of these views.
 * @param {string[]} names
 * @param {HTMLDialogElement} dialog
 * @param {(view: string | null) => void} shown - called when it is opened.
 */
export function sheet(names, dialog, shown) {
  for (const name of names) sheets.set(name, { dialog, shown });
  dialog.addEventListener("close", () => {
    if (sheets.get(get("view"))?.dialog !== dialog) return;
    if (pushed) history.go(-pushed);
    else write({ view: null, with: null });
    pushed = 0;
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || target(event)?.closest("[data-do=close]")) dialog.close();
  });
  if (names.includes(get("view") ?? "")) follow();
}

/**
 * Open a view.
 * @param {string} name
 * @param {Record<string, string>} parts - further parts of the address.
 */
export function show(name, parts = {}) {
  if (get("view") !== name || Object.keys(parts).some((part) => get(part) !== parts[part])) {
    write({ with: null, ...parts, view: name }, true);
    pushed += 1;
  }
  follow();
}

/** Show the view that the address names. */
function follow() {
  const name = get("view"),
    found = sheets.get(name);
  for (const { dialog } of new Set(sheets.values())) if (dialog !== found?.dialog && dialog.open) dialog.close();
  if (!found) return;
  if (!found.dialog.open) found.dialog.showModal();
  found.shown(name);
}

/** Read the address, and keep it in sync with what is shown. */
export function beginAddress() {
  first = get("run");
  wide = get("view");
  window.addEventListener("popstate", () => {
    pushed = Math.max(0, pushed - 1);
    follow();
  });
  listen(followed);
  document.addEventListener("click", (event) => {
    const panel = target(event)?.closest("[data-do=wide]")?.closest(".panel");
    const key = panel?.closest("[id^=lab-panel-]")?.id.slice("lab-panel-".length);
    if (panel && key) write({ view: panel.classList.contains("is-wide") ? key : null });
  });
}

/**
 * Write what is shown into the address. A round that the address named waits until its run has reached it.
 * @param {Change} change
 */
function followed(change) {
  if (change.run) {
    wanted = change.run === first ? Number.parseInt(get("round") ?? "", 10) : NaN;
    if (change.run !== first) write({ round: null });
    first = null;
  } else if ("round" in change) {
    wanted = NaN;
    clearTimeout(timer);
    timer = setTimeout(() => write({ round: change.round }), SOON);
  }
  const last = run.measured.at(-1) ?? NaN;
  if (wanted >= 0 && wanted <= last) {
    const round = wanted;
    wanted = NaN;
    tell({ round: round === last ? null : round });
  }
  enlarge();
}

/** Enlarge the panel that the address names, once it has data. */
function enlarge() {
  const panel = wide && !sheets.has(wide) && document.getElementById(`lab-panel-${wide}`)?.querySelector(".has-data");
  if (!panel) return;
  wide = null;
  if (!panel.classList.contains("is-wide"))
    /** @type {HTMLElement | null} */ (panel.querySelector("[data-do=wide]"))?.click();
  panel.scrollIntoView({ block: "nearest" });
}
