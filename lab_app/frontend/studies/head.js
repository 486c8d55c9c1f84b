// The head of a study's card: its options, its progress, and its buttons.
import { h } from "../shared/dom.js";

/**
 * When a study was requested.
 * @param {number} created - seconds since 1970.
 * @returns {string}
 */
export const when = (created) =>
  new Date(1000 * created).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

const button = (name, text, act, extra = {}) =>
  h("button", { type: "button", "data-do": name, onclick: act, ...extra }, text);

/**
 * The head of a card.
 * @param {any} study - a requested one.
 * @param {{ title: string, open: boolean, others: any[], beside: number | undefined, wears(study: any): string }} shown - its
 *   title, whether it is open, other results of the same study, the one shown beside it, and its options in words.
 * @param {Record<"toggle" | "stop" | "again" | "forget", () => void> & { compare(other?: number): void }} acts
 * @returns {HTMLElement[]}
 */
export function studyHead(study, { title, open, others, beside, wears }, acts) {
  const going = study.status === "queued" || study.status === "running",
    ready = study.status === "done";
  const parts = [
    h(
      "div",
      { class: "line" },
      ready
        ? button("open", h("span", {}, title), acts.toggle, { "aria-expanded": String(open), class: "title" })
        : h("b", { class: "title" }, title),
      h("span", { class: "when" }, when(study.created), study.by ? ` · ${study.by}` : null),
      ready && others.length && beside === undefined
        ? button("beside", "Compare…", () => acts.compare(others[0].id), {
            title: "Show another result of this study beside it",
          })
        : null,
      going ? button("stop", "Stop", acts.stop) : null,
      going ? null : button("again", "Again…", acts.again, { title: "Copy these options into the form" }),
      going ? null : button("forget", "Delete", (event) => sure(event.currentTarget, acts.forget)),
    ),
    h("p", { class: "wears", dir: "auto" }, wears(study)),
    beside === undefined ? null : besideChoice(others, beside, wears, acts.compare),
    ready ? null : progress(study),
    going ? h("div", { class: "bar" }, h("i", { style: `width:${100 * (study.part || 0)}%` })) : null,
  ];
  return parts.filter((part) => part !== null);
}

function besideChoice(others, beside, wears, compare) {
  const options = others.map((other) =>
    h("option", { value: String(other.id), selected: other.id === beside }, `${when(other.created)} · ${wears(other)}`),
  );
  const choose = (event) => compare(others[event.target.selectedIndex].id);
  return h(
    "div",
    { class: "with" },
    h("label", {}, "beside ", h("select", { "data-do": "with", onchange: choose }, options)),
    button("alone", "Single view", () => compare()),
  );
}

const progress = (study) =>
  h(
    "p",
    { class: "says" },
    h("span", { dir: "auto" }, study.message || study.says),
    study.left
      ? h("span", { class: "left" }, study.left === "a moment" ? "a moment left" : `about ${study.left} left`)
      : null,
  );

/** Ask for confirmation before a result is deleted. */
function sure(asked, forget) {
  if (asked.dataset.sure) return forget();
  asked.dataset.sure = "1";
  asked.textContent = "Delete it?";
  const calm = () => {
    delete asked.dataset.sure;
    asked.textContent = "Delete";
  };
  asked.addEventListener("blur", calm, { once: true });
}
