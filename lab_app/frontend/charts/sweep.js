// The frontier's sweep: one lane repeated with several values of one hyperparameter.
import { h } from "../shared/dom.js";

const MOST = 12;
const rounded = (value, whole) => (whole ? Math.round(value) : Number(value.toPrecision(3)));

/**
 * Values from one end to the other, including both.
 * @param {number} from
 * @param {number} to
 * @param {number} count - at most 12.
 * @param {boolean} logarithmic - by equal factors instead of equal steps.
 * @param {boolean} whole - rounded to whole numbers; else to three digits.
 * @returns {number[]}
 */
export function values(from, to, count, logarithmic, whole) {
  if (![from, to].every(Number.isFinite) || !(count >= 1) || (logarithmic && !(from > 0 && to > 0))) return [];
  const at = (part) => (logarithmic ? from * (to / from) ** part : from + part * (to - from));
  const found = [...Array(Math.min(MOST, Math.round(count))).keys()].map((i) =>
    rounded(at(count > 1 ? i / (count - 1) : 0), whole),
  );
  return [...new Set(found)];
}

/** A sensible range for a sweep: around the current value, within the limits of the field. */
function around(key, value, whole, [least, most]) {
  if (key.endsWith(".tau")) return { from: 0.05, to: 0.3, log: false };
  if (!(value > 0)) return { from: least ?? 0, to: most ?? 1, log: false };
  if (value <= 1 && most === 1) return { from: rounded(value / 2), to: 1, log: false };
  const from = Math.max(rounded(value / 4, whole), least ?? -Infinity),
    to = Math.min(rounded(value * 4, whole), most ?? Infinity);
  return { from, to, log: value > 1 || !whole };
}

/**
 * The form.
 * @param {() => any} started - the run's `started` event.
 * @param {(payload: object) => void} send - requests the lanes.
 * @returns {{ element: HTMLFormElement, paint(): void, answered(told?: { message?: string, wrong?: boolean, added?: number }): void }}
 *   the form; a function that redraws the lanes that can be varied; and one that shows the result of the last sweep.
 */
export function form(started, send) {
  const lane = h("select", { "aria-label": "Lane to vary" }),
    field = h("select", { "aria-label": "Hyperparameter to vary" });
  const number = (label) => h("input", { type: "number", step: "any", "aria-label": label });
  const from = number("From"),
    to = number("To"),
    count = h("input", {
      type: "number",
      min: "1",
      max: String(MOST),
      step: "1",
      value: "5",
      "aria-label": "How many",
    });
  const log = h("input", { type: "checkbox" }),
    preview = h("span", { class: "values", dir: "auto" }),
    button = h("button", { type: "submit" }, "Add lanes"),
    note = h("p", { class: "note", role: "status", dir: "auto" });
  let painted = "";
  const dials = () => started()?.dials?.[lane.value] || {};
  const now = () => dials()[field.value];
  const whole = () => (started()?.whole || []).includes(field.value);
  const chosen = () => values(Number(from.value), Number(to.value), Number(count.value), log.checked, whole());
  const wanted = () => chosen().filter((value) => value !== now());
  const name = () => started()?.called?.[field.value] || "";

  function tell() {
    const found = wanted();
    preview.textContent = !from.value || !to.value ? "" : `${name()} = ${found.join(", ") || "–"}`;
    button.textContent = found.length === 1 ? "Add 1 lane" : `Add ${found.length} lanes`;
    button.disabled = !found.length;
  }
  function suggest() {
    const found = around(field.value, now(), whole(), started()?.limits?.[field.value] || []);
    from.value = found.from;
    to.value = found.to;
    log.checked = found.log;
    tell();
  }
  function fields() {
    const keep = field.value,
      keys = Object.keys(dials());
    field.replaceChildren(
      ...keys.map((key) => h("option", { value: key, selected: key === keep }, started().called[key])),
    );
    suggest();
  }
  /** The lanes that can be varied; those with a guard come first. */
  function paint() {
    const known = Object.keys(started()?.dials || {}),
      state = JSON.stringify(started()?.dials || {});
    if (state === painted) return;
    painted = state;
    const guarded = known.find((label) => Object.keys(started().dials[label]).some((key) => key.endsWith(".tau")));
    const keep = known.includes(lane.value) ? lane.value : (guarded ?? known[0]);
    lane.replaceChildren(...known.map((label) => h("option", { value: label, selected: label === keep }, label)));
    fields();
  }
  lane.addEventListener("change", fields);
  field.addEventListener("change", suggest);
  for (const input of [from, to, count, log]) input.addEventListener("input", tell);
  const label = (text, control) => h("label", {}, h("span", {}, text), control);
  const box = h(
    "form",
    { class: "sweep", "aria-label": "Sweep" },
    h("b", {}, "Sweep"),
    label("lane", lane),
    label("number", field),
    label("from", from),
    label("to", to),
    label("how many", count),
    h("label", { class: "tick" }, log, h("span", { title: "Equal factors between the values" }, "log")),
    button,
    preview,
    note,
  );
  box.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!wanted().length) return;
    note.textContent = "asking…";
    note.classList.remove("error");
    button.disabled = true;
    send({ lane: lane.value, field: field.value, values: wanted() });
  });
  /** The result of the last sweep. */
  function answered({ message = "", wrong = false, added = 0 } = {}) {
    note.classList.toggle("error", wrong);
    note.textContent = message || (added ? `${added} ${added === 1 ? "lane" : "lanes"} added; computed next.` : "");
    tell();
  }
  return { element: box, paint, answered };
}
