// The spec that Run submits, as JSON to copy or save.
import { h, save } from "../shared/dom.js";

/**
 * The button that requests the spec.
 * @param {Context} context
 */
export function experimentTitle({ element, trigger }) {
  element.querySelector("[data-do=spec]").addEventListener("click", () => trigger("spec"));
}

/**
 * The dialog that shows it.
 * @param {Context} context - `value`: its text, or what is wrong in the form.
 */
export function spec({ element, props, watch }) {
  const SHOWN = 60000; // characters that are shown
  const dialog = element.querySelector("dialog"),
    find = (selector) => element.querySelector(selector),
    said = find(".left");
  const text = () => props.value?.text || "";
  watch("value", () => {
    const { wrong = "" } = props.value || {},
      whole = text(),
      more = whole.length - SHOWN;
    find(".problem").textContent = wrong;
    find("pre").replaceChildren(
      whole.slice(0, SHOWN),
      ...(more > 0
        ? [h("em", {}, `\n… and ${more.toLocaleString("en")} characters more: Copy and Save take all of them.`)]
        : []),
    );
    said.textContent = whole ? `${whole.length.toLocaleString("en")} characters` : "";
    for (const name of ["copy", "save"]) find(`[data-do=${name}]`).disabled = !whole;
    if (!dialog.open) dialog.showModal();
  });
  find("[data-do=close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // outside of it
  });
  find("[data-do=save]").addEventListener("click", () => save("spec.json", `${text()}\n`, "application/json"));
  find("[data-do=copy]").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      said.textContent = "Copied.";
    } catch {
      getSelection()?.selectAllChildren(find("pre")); // no clipboard without https: then at least it is selected
      said.textContent = "Selected. Press Ctrl+C to copy.";
    }
  });
}
