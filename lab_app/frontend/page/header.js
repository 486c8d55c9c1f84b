// The legend: lanes by colour and mark. A click hides a lane everywhere.
import { otherTheme } from "../shared/theme.js";
import { h } from "../shared/dom.js";
import { marker, slotOf } from "../shared/lanes.js";
import { foldExperiment, listen, run, tell, view } from "../shared/state.js";
import * as address from "../shared/address.js";

/**
 * The header of the page.
 * @param {Context} context - `value`: the visitor's runs.
 */
export function header({ element, props, watch }) {
  const legend = element.querySelector(".legend"),
    facts = element.querySelector(".facts"),
    runs = element.querySelector(".runs");
  function paint() {
    legend.replaceChildren(
      ...run.lanes.map((lane) =>
        h(
          "button",
          {
            type: "button",
            class: `lane slot-${slotOf(lane)}`,
            dir: "auto",
            "aria-pressed": String(!view.hidden.has(lane)),
            title: `${lane}: show or hide this lane`,
            onclick: () => {
              view.hidden.has(lane) ? view.hidden.delete(lane) : view.hidden.add(lane);
              tell({});
            },
          },
          h("i", { class: `dot ${marker(lane)}`, "aria-hidden": "true" }),
          h("span", { class: "name" }, lane),
        ),
      ),
      ...(run.lanes.length ? [h("span", { class: "lane base" }, h("i", { class: "dot circle" }), "unedited")] : []),
    );
    const model = run.model || {};
    facts.textContent = run.lanes.length
      ? [
          model.reference,
          model.parameters ? `${(model.parameters / 1e6).toFixed(model.parameters < 1e9 ? 1 : 0)}M parameters` : null,
          `${(run.facts || 0).toLocaleString("en")} facts`,
        ]
          .filter(Boolean)
          .join(" · ")
      : "";
    const list = props.value?.runs || [];
    fold.setAttribute("aria-pressed", String(!document.body.classList.contains("folded")));
    runs.closest("details").hidden = !list.length;
    runs.replaceChildren(
      ...list.map((found) =>
        h(
          "a",
          { href: `?run=${encodeURIComponent(found.id)}`, dir: "auto", "aria-current": String(found.id === view.run) },
          h("b", {}, found.title),
          h("span", {}, `${found.says} · ${new Date(found.created * 1000).toLocaleString()}`),
        ),
      ),
      h(
        "button",
        { type: "button", class: "all", onclick: () => address.show("runs") },
        "All runs: search, notes, compare…",
      ),
    );
  }
  element.querySelector("[data-do=theme]").addEventListener("click", otherTheme);
  element.querySelector(".right").prepend(h("a", { class: "learn-link", href: "learn" }, "Learn"));
  const fold = element.querySelector("[data-do=fold]");
  fold.addEventListener("click", () => foldExperiment(!document.body.classList.contains("folded")));
  listen(paint);
  watch("value", paint);
  paint();
}
