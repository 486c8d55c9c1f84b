// The experiment's facts: an editable table that accepts pasted rows and checks every cell during typing.
import { factSources } from "./sources.js";
import { h } from "../shared/dom.js";
import * as cells from "./cells.js";

/**
 * The table.
 * @param {Context} context - `value`: its rows, and the source of sampled ones; `problems`: those found by Run or an upload;
 *   `looked`: the results of lookups.
 */
export function facts(context) {
  const { element, props, watch, trigger } = context;

  const SHOWN = 60,
    AFTER = 450, // milliseconds from the last key press to the check of cells
    NAMES = { prompt: "Prompt", subject: "Subject", target: "New answer", truth: "Old answer" };
  const HINTS = { prompt: "The capital of {} is", subject: "France", target: "Lyon", truth: "Paris (if known)" };
  const list = element.querySelector(".rows"),
    note = element.querySelector(".note"),
    paste = element.querySelector("details.paste"),
    area = element.querySelector("textarea");
  const CHOICES = ["source", "subset", "order", "shuffle"];
  const chosen = {}; // the table's other values: kept when the worker's answer has only rows
  const known = new Map(); // what was looked up, by the row's text
  let told = [], // problems from the answer to Run, an upload or a check of other columns
    changed = new Set(),
    timer = 0;

  const rows = () => props.value?.rows || [];
  const set = (next) => {
    props.value = { ...props.value, ...chosen, rows: next };
    count();
  };
  const choose = (change) => {
    Object.assign(chosen, change);
    set(rows());
    element
      .querySelector(".facts-form")
      .classList.toggle("waits", Boolean(chosen.source) && chosen.source !== "pocket");
  };
  const say = (text, error = false) => {
    note.textContent = text;
    note.className = error ? "note error" : "note";
  };
  const key = (row) => JSON.stringify(["subject", "prompt", "target", "truth"].map((name) => String(row[name] ?? "")));

  function change(index, name, text) {
    const next = rows().slice();
    const row = { ...next[index], [name]: text };
    // Results for another subject or sentence are not valid for this one.
    if (name === "subject" || name === "prompt")
      for (const stale of ["paraphrases", "neighborhood", "portability", "relation", "id"]) delete row[stale];
    next[index] = row;
    set(next);
    told = told.filter((found) => found.row !== index + 1);
    const line = list.children[index];
    line?.querySelector(`[data-column=${name}]`)?.removeAttribute("aria-invalid");
    later(index);
  }
  /** Check the changed rows after a pause in typing. */
  function later(index) {
    changed.add(index);
    clearTimeout(timer);
    timer = setTimeout(check, AFTER);
  }
  function check() {
    const asked = [...changed].map((index) => rows()[index]).filter((row) => row && cells.begun(row));
    for (const index of changed) mark(index);
    changed = new Set();
    const unknown = asked.filter((row) => !known.has(key(row)));
    if (unknown.length) trigger("check", { rows: unknown.slice(0, SHOWN) });
  }
  /** The problems of a row, by cell; an empty cell is a problem only after the row has lost focus. */
  function mark(index) {
    const row = rows()[index],
      line = list.children[index];
    if (!row || !line) return;
    const inside = line.contains(document.activeElement);
    const late = ([, message]) => !(inside && message.startsWith("empty:"));
    const found = (cells.begun(row) ? cells.problems(row) : []).filter(late);
    const looked = known.get(key(row));
    if (!found.length) found.push(...(looked?.problems || []).filter(late));
    for (const { row: number, column, message } of told)
      if (number === index + 1 && !found.some(([, text]) => text === message)) found.push([column, message]);
    for (const input of line.querySelectorAll("input")) {
      const wrong = found.some(([column]) => column === input.dataset.column);
      if (wrong) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    const truth = line.querySelector("[data-column=truth]");
    truth.placeholder = looked?.truth || HINTS.truth;
    const twice = cells.begun(row) ? cells.same(rows(), index) : -1;
    const hint = twice >= 0 ? `Same question as row ${twice + 1}: the later edit wins.` : looked?.hint || "";
    line
      .querySelector(".problem")
      .replaceChildren(
        ...found.map(([column, message]) => h("span", {}, column ? `${NAMES[column] || column}: ${message}` : message)),
      );
    line.querySelector(".hint").textContent = found.length ? "" : hint;
  }
  const cell = (row, index, name) =>
    h("input", {
      type: "text",
      dir: "auto",
      value: row[name] ?? "",
      placeholder: HINTS[name],
      "data-column": name,
      "aria-label": `${NAMES[name]}, row ${index + 1}`,
      spellcheck: "false",
      autocomplete: "off",
      oninput: (event) => change(index, name, event.target.value),
      onblur: () => later(index),
      onpaste: (event) => pasted(event),
    });
  function pasted(event) {
    const text = event.clipboardData?.getData("text/plain") || "";
    if (!/[\t\n]/.test(text.trim())) return;
    event.preventDefault();
    send(text);
  }
  function send(text) {
    if (text.length > 16e6) {
      area.value = text.slice(0, 2000);
      say(
        `That is ${Math.round(text.length / 1e6)} MB of text: a run takes at most 20,000 facts. ` +
          "Save it as a file for the command line, or paste a part.",
        true,
      );
      return;
    }
    say("reading…");
    trigger("paste", { text });
  }
  function line(row, index) {
    return h(
      "div",
      { class: "fact", role: "row" },
      h(
        "div",
        { class: "first" },
        cell(row, index, "prompt"),
        h(
          "button",
          {
            type: "button",
            class: "remove",
            "aria-label": `Remove row ${index + 1}`,
            onclick: () => {
              told = [];
              set(rows().filter((_, i) => i !== index));
              paint();
            },
          },
          "×",
        ),
      ),
      h(
        "div",
        { class: "second" },
        cell(row, index, "subject"),
        h("span", { "aria-hidden": "true" }, "→"),
        cell(row, index, "target"),
        h("span", { class: "was", "aria-hidden": "true" }, "was"),
        cell(row, index, "truth"),
      ),
      h("p", { class: "problem", role: "alert" }),
      h("p", { class: "hint" }),
    );
  }
  function paint() {
    list.replaceChildren(...rows().slice(0, SHOWN).map(line));
    count();
    for (let index = 0; index < list.children.length; index++) if (cells.begun(rows()[index])) mark(index);
  }
  function count() {
    const total = rows().length;
    element.querySelector(".count").textContent =
      `${total.toLocaleString("en")} ${total === 1 ? "fact" : "facts"}` +
      (total > SHOWN ? `, the first ${SHOWN} shown` : "");
  }
  function problems() {
    const { items = [], message = "", good = false } = props.problems || {};
    told = items;
    say(message, Boolean(message) && !good);
    for (let index = 0; index < list.children.length; index++) mark(index);
    if (items.length)
      (list.querySelector("[aria-invalid]") || list.children[items[0].row - 1])?.scrollIntoView({ block: "nearest" });
    if (good) {
      area.value = "";
      paste.open = false;
    }
  }
  function add(row) {
    set([...rows(), row]);
    paint();
    list.lastElementChild?.scrollIntoView({ block: "nearest" });
  }
  element.querySelector("[data-do=add]").addEventListener("click", () => {
    add({ subject: "", prompt: rows().at(-1)?.prompt ?? "", target: "", truth: "" });
    list.lastElementChild?.querySelector("[data-column=subject]").focus();
  });
  element.querySelector("[data-do=clear]").addEventListener("click", () => {
    told = [];
    say("");
    set([]);
    paint();
  });
  area.addEventListener("paste", (event) => {
    // Browsers take minutes to lay out a text area of many thousand lines, so such text is read directly.
    const text = event.clipboardData?.getData("text/plain") || "";
    if (text.length < 20000) return;
    event.preventDefault();
    send(text);
  });
  element.querySelector("[data-do=read]").addEventListener("click", () => send(area.value));
  element.querySelector("[data-do=examples]").addEventListener("click", () => trigger("examples"));
  watch("value", () => {
    for (const name of CHOICES) if (name in (props.value || {})) chosen[name] = props.value[name];
    set(rows());
    paint();
    sources();
  });
  watch("problems", problems);
  watch("looked", () => {
    for (const [row, found] of props.looked?.rows || []) known.set(JSON.stringify(row), found);
    while (known.size > 2000) known.delete(known.keys().next().value);
    for (let index = 0; index < list.children.length; index++) if (known.has(key(rows()[index]))) mark(index);
  });
  const sources = factSources({ ...context, add, choose, chosen, say });
  paint();
  sources();
}
