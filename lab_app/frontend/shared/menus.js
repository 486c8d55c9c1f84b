// Menus are <details>: a click beside one closes it.

/** Close open menus whenever something else is clicked. */
export function closeMenus() {
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll(".lab-widget details.save[open], .lab-widget details.menu[open]"))
      if (!open.contains(event.target)) open.open = false;
  });
}
