// Light or dark theme: from the system, the address (?__theme=), or an earlier choice.
import { tell } from "./state.js";

const KEY = "editlab:theme";

/**
 * Whether the page is dark.
 * @returns {boolean}
 */
export const isDark = () => document.body.classList.contains("dark");

/** Switch to the other theme, and store the choice in this browser. */
export function otherTheme() {
  const dark = !isDark();
  document.body.classList.toggle("dark", dark);
  localStorage.setItem(KEY, dark ? "dark" : "light");
}

/** Apply the stored choice, and notify the page's parts of every change: charts take their colours from it. */
export function beginTheme() {
  const kept = localStorage.getItem(KEY);
  const forced = new URL(location.href).searchParams.has("__theme");
  if (kept && !forced) document.body.classList.toggle("dark", kept === "dark");
  new MutationObserver(() => tell({})).observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
