// Light or dark: as the system says, as the address says (?__theme=), or as was chosen here before.
import { tell } from "./state.js";

const KEY = "editlab:theme";

/**
 * Whether the page is dark.
 * @returns {boolean}
 */
export const isDark = () => document.body.classList.contains("dark");

/** Change to the other of the two, and keep that in this browser. */
export function otherTheme() {
  const dark = !isDark();
  document.body.classList.toggle("dark", dark);
  localStorage.setItem(KEY, dark ? "dark" : "light");
}

/** Put on what was chosen before, and tell the page's parts of every change: charts take their colours from it. */
export function beginTheme() {
  const kept = localStorage.getItem(KEY);
  const forced = new URL(location.href).searchParams.has("__theme");
  if (kept && !forced) document.body.classList.toggle("dark", kept === "dark");
  new MutationObserver(() => tell({})).observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
