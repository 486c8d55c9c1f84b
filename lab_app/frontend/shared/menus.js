// Menus are <details>: a click outside closes them.
import { target } from "./dom.js";

/** Close open menus whenever something else is clicked. */
export function closeMenus() {
  document.addEventListener("click", (event) => {
    for (const open of /** @type {NodeListOf<HTMLDetailsElement>} */ (
      document.querySelectorAll(".lab-widget details.save[open], .lab-widget details.menu[open]")
    ))
      if (!open.contains(target(event))) open.open = false;
  });
}
