// Runs: a visitor's own runs, with search, names, notes and deletion. compare.js compares them.
import { comparison } from "./compare.js";
import { h } from "../shared/dom.js";
import { view } from "../shared/state.js";
import * as address from "../shared/address.js";

/**
 * The dialog.
 * @param {Context} context - `value`: the visitor's runs; `compared`: lanes of some; `limits`: of titles and notes.
 */
export function history({ element, props, watch, trigger }) {
  const REFRESH = 4000, // ms between two updates while a run is active
    AGAIN = 1500, // ms until an unanswered request is repeated: the page may still be loading
    SOON = 180; // ms after the last letter of a search

  const dialog = element.querySelector("dialog"),
    find = (selector) => dialog.querySelector(selector);
  const list = find(".runs-list"),
    search = find("input[type=search]"),
    note = find(".listing .note"),
    compare = find("[data-do=compare]");
  const chosen = new Map(); // id → title of the runs to compare
  const beside = comparison(find(".comparing"), () => address.show("runs"));
  let editing = null, // { id, what: "title" | "notes" | "delete", text }
    busy = "",
    timer = 0,
    looked = 0;

  const limits = () => props.limits || {};
  const look = () => {
    looked = Date.now();
    trigger("look", { search: search.value });
  };
  const weigh = () => {
    looked = Date.now();
    trigger("compare", { runs: wanted() });
  };
  const wanted = () => (address.get("with") || "").split(",").filter(Boolean);
  const change = (event, run, more = {}) => {
    busy = run;
    editing = null;
    trigger(event, { run, search: search.value, ...more });
    paint();
  };

  function shown(name) {
    const comparing = name === "compare";
    find(".listing").hidden = comparing;
    find(".comparing").hidden = !comparing;
    find("#history-title").textContent = comparing ? "Compare" : "Runs";
    if (comparing) {
      beside.wait();
      weigh();
    } else {
      if (!chosen.size && view.run) chosen.set(view.run, "the open run");
      paint();
      look();
    }
  }

  const button = (label, onclick, more = {}) => h("button", { type: "button", onclick, ...more }, label);

  /** A field in place of the text that it edits: Enter saves, Escape cancels. */
  function field(run) {
    const long = editing.what === "notes";
    const keep = () =>
      long ? change("write", run.id, { notes: input.value }) : change("rename", run.id, { title: input.value });
    const leave = () => {
      editing = null;
      paint();
    };
    const input = h(long ? "textarea" : "input", {
      value: editing.text,
      dir: "auto",
      rows: long ? 3 : null,
      maxlength: limits()[editing.what],
      "aria-label": long ? "Notes" : "Title",
      oninput: () => (editing.text = input.value),
      onkeydown: (event) => {
        if (event.key === "Enter" && (!long || event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          keep();
        } else if (event.key === "Escape") {
          event.preventDefault(); // closes the field, not the sheet
          event.stopPropagation();
          leave();
        }
      },
    });
    return h("div", { class: "field" }, input, button("Keep", keep, { class: "main" }), button("Cancel", leave));
  }

  function row(run) {
    const mine = editing?.id === run.id ? editing.what : "";
    const edit = (what, text = "") => {
      editing = { id: run.id, what, text };
      paint();
      list.querySelector(".field input, .field textarea, .sure button")?.focus();
    };
    const tick = h("input", {
      type: "checkbox",
      checked: chosen.has(run.id),
      "aria-label": `Compare ${run.title}`,
      onchange: () => {
        tick.checked ? chosen.set(run.id, run.title) : chosen.delete(run.id);
        count();
      },
    });
    const title =
      mine === "title"
        ? field(run)
        : h("a", { href: `?run=${encodeURIComponent(run.id)}`, dir: "auto", class: "title" }, run.title);
    const says = [
      run.says,
      new Date(run.created * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }),
    ].join(" · ");
    return h(
      "li",
      { "aria-current": String(run.id === view.run), "data-status": run.status, "aria-busy": String(busy === run.id) },
      tick,
      h(
        "div",
        { class: "about" },
        title,
        h("p", { class: "says" }, h("i", { class: "lamp", "aria-hidden": "true" }), says),
        run.status === "failed" ? h("p", { class: "problem", dir: "auto" }, run.message) : null,
        mine === "notes" ? field(run) : run.notes ? h("p", { class: "notes", dir: "auto" }, run.notes) : null,
        mine === "delete"
          ? h(
              "p",
              { class: "sure", role: "alert" },
              "Delete this run with all its tables and weights? This cannot be undone. ",
              button("Delete", () => change("forget", run.id), { class: "danger" }),
              button("Keep it", () => {
                editing = null;
                paint();
              }),
            )
          : null,
      ),
      h(
        "div",
        { class: "does" },
        run.resumes ? button("Resume", () => change("resume", run.id)) : null,
        button("Rename", () => edit("title", run.title)),
        button(run.notes ? "Edit notes" : "Add notes", () => edit("notes", run.notes)),
        button("Delete…", () => edit("delete"), { class: "delete" }),
      ),
    );
  }

  function count() {
    compare.disabled = !chosen.size;
    compare.textContent = chosen.size > 1 ? `Compare ${chosen.size} runs` : "Compare lanes";
  }

  function paint() {
    const { runs = [], found = 0, all = 0, message = "", wrong = false, key = "" } = props.value || {};
    const typing = list.contains(document.activeElement) && editing;
    count();
    note.textContent = message;
    note.classList.toggle("error", wrong);
    find(".count").textContent = search.value.trim()
      ? `${found} of ${all} runs`
      : `${all} ${all === 1 ? "run" : "runs"}${runs.length < found ? `, the newest ${runs.length} shown` : ""}`;
    find(".programs").hidden = !key;
    find(".key").textContent = key;
    if (typing && list.querySelector(".field")) return; // do not redraw a field during typing
    list.replaceChildren(
      ...(runs.length
        ? runs.map(row)
        : [h("li", { class: "none" }, all ? "No run matches." : "No runs yet. Runs that you start are listed here.")]),
    );
  }

  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, SOON);
  });
  compare.addEventListener("click", () => address.show("compare", { with: [...chosen.keys()].join(",") }));
  find(".by-address").addEventListener("submit", (event) => {
    event.preventDefault();
    const input = find(".by-address input"),
      given = input.value.match(/run=([\w-]+)/)?.[1] || input.value.trim();
    if (!given) return input.focus();
    chosen.set(given, given);
    input.value = "";
    note.classList.remove("error");
    note.textContent = `${chosen.size} runs are chosen.`;
    count();
  });
  setInterval(() => {
    if (!dialog.open || Date.now() - looked < AGAIN) return;
    if (find(".listing").hidden) {
      if (String(props.compared?.asked) !== String(wanted())) weigh();
    } else if (!props.value?.known) look();
    else if (!editing && Date.now() - looked > REFRESH)
      if (props.value.runs.some((run) => ["queued", "running"].includes(run.status))) look();
  }, AGAIN / 3);
  watch("value", () => {
    if ((props.value?.search ?? "") !== search.value.trim() && (props.value?.search ?? "") !== search.value) return;
    busy = "";
    paint();
  });
  watch("compared", () => beside.paint(props.compared || {}));
  paint();
  address.sheet(["runs", "compare"], dialog, shown);
}
