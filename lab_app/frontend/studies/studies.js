// Look closer: studies by their question, and the requested ones: waiting, running or done.
import { symbols } from "../shared/format.js";
import { h } from "../shared/dom.js";
import { slotOf } from "../shared/lanes.js";
import { listen, run, view } from "../shared/state.js";
import { studyForm } from "./form.js";
import { studyHead, when } from "./head.js";
import { askedWith, written } from "./options.js";
import { studiesBeside, studyFound } from "./found.js";

/**
 * Look closer.
 * @param {Context} context - `catalogue`: all studies; `value`: the requested ones; `found`: the result fetched last;
 *   `told`: the answer to a request.
 */
export function studies({ element, props, watch, trigger }) {
  const find = (selector) => element.querySelector(selector);
  const list = find(".questions"),
    form = find(".asking"),
    note = find(".note"),
    results = find(".results");
  const studies = () => props.catalogue || [];
  const about = (name) => studies().find((study) => study.name === name);
  const choice = { name: studies()[0]?.name, lanes: null, rounds: {}, options: {} };
  const { paint: paintForm, asked, begun, looked, lookedAt } = studyForm(form, choice, about);
  const found = new Map(), // results by study, once fetched
    open = new Set(),
    beside = new Map(), // by study: another result of the same study to compare with
    cards = new Map(),
    wanted = []; // studies to fetch, one at a time
  let shownRun = "",
    painted = "",
    expected = null;

  // -- which study

  function paintList() {
    const groups = [...new Set(studies().map((study) => study.group))];
    list.replaceChildren(
      ...groups.flatMap((group) => [
        h("h3", {}, group),
        ...studies()
          .filter((study) => study.group === group)
          .map((study) =>
            h(
              "button",
              {
                type: "button",
                "aria-pressed": String(study.name === choice.name),
                "data-study": study.name,
                onclick: () => {
                  choice.name = study.name;
                  note.textContent = "";
                  paintChosen();
                },
              },
              symbols(study.question),
            ),
          ),
      ]),
    );
  }
  function paintChosen() {
    for (const button of list.querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(button.dataset.study === choice.name));
    paintForm();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const study = about(choice.name);
    note.textContent = "asking…";
    note.classList.remove("error");
    trigger("ask", {
      name: study.name,
      lanes: choice.lanes ?? run.lanes,
      rounds: asked(study),
      options: choice.options[study.name] || {},
    });
  });

  // -- requested studies

  const wears = (study) => askedWith(study, about(study.name), run.lanes);
  const made = () =>
    (props.value?.run === view.run ? props.value.studies || [] : []).filter((study) => study.status === "done");

  /** The card of a study: made once; its head is redrawn. */
  function card(study) {
    if (!cards.has(study.id)) {
      const body = h("div", { class: "found", hidden: true });
      const root = h("article", { class: "study", "data-id": study.id }, h("div", { class: "head" }), body);
      cards.set(study.id, { root, body, head: root.firstChild, drawn: "", said: "" });
    }
    const held = cards.get(study.id),
      others = made().filter((other) => other.name === study.name && other.id !== study.id),
      chosen = beside.get(study.id),
      said = JSON.stringify([study, open.has(study.id), run.lanes, chosen ?? null, others.map((other) => other.id)]);
    if (held.said === said) return held.root;
    const focused = held.head.contains(document.activeElement) ? document.activeElement?.getAttribute("data-do") : null;
    held.said = said;
    held.root.dataset.status = study.status;
    const shown = {
      title: symbols(about(study.name)?.title || study.name),
      open: open.has(study.id),
      others,
      beside: chosen,
      wears,
    };
    held.head.replaceChildren(
      ...studyHead(study, shown, {
        toggle: () => toggle(study.id),
        compare: (other) => compare(study.id, other),
        stop: () => trigger("stop", { study: study.id }),
        again: () => again(study),
        forget: () => trigger("forget", { study: study.id }),
      }),
    );
    if (focused) held.head.querySelector(`[data-do="${focused}"]`)?.focus();
    held.body.hidden = !open.has(study.id);
    return held.root;
  }
  function again(study) {
    Object.assign(choice, { name: study.name, lanes: study.lanes });
    choice.rounds[study.name] = ["all"].includes(study.rounds)
      ? { how: "all", text: null }
      : { how: "some", text: study.rounds };
    choice.options[study.name] = { ...study.options };
    paintChosen();
    form.scrollIntoView({ block: "center" });
    form.querySelector("button, input, select")?.focus({ preventScroll: true });
  }
  /** Show another result of the same study beside this one, or only this one. */
  function compare(id, other) {
    if (other === undefined) beside.delete(id);
    else beside.set(id, other);
    toggle(id, true);
  }
  function toggle(id, shown = !open.has(id)) {
    open[shown ? "add" : "delete"](id);
    paintResults();
    if (shown) want(id);
  }

  // -- results

  /** The results that a card shows: its own, and the one beside it. */
  const pairOf = (id) => [id, ...(beside.has(id) ? [beside.get(id)] : [])];
  function want(id) {
    const held = cards.get(id),
      missing = pairOf(id).filter((one) => !found.has(one)),
      free = !wanted.length;
    if (!missing.length) return fill(id);
    held.drawn = "";
    held.body.replaceChildren(h("p", { class: "empty" }, "Loading the result…"));
    wanted.push(...missing.filter((one) => !wanted.includes(one)));
    if (free && wanted.length) trigger("fetch", { study: wanted[0] });
  }
  function fetched() {
    const got = props.found || {};
    if (got.id === undefined || wanted[0] !== got.id) return;
    wanted.shift();
    if (!got.message) found.set(got.id, got);
    for (const [id, held] of cards)
      if (open.has(id) && pairOf(id).includes(got.id))
        got.message ? held.body.replaceChildren(h("p", { class: "empty" }, got.message)) : fill(id);
    if (wanted.length) trigger("fetch", { study: wanted[0] });
  }
  function fill(id) {
    const held = cards.get(id),
      shown = pairOf(id),
      drawn = shown.join(" ");
    if (!held || held.drawn === drawn || !shown.every((one) => found.has(one))) return;
    held.drawn = drawn;
    if (shown.length === 1) return studyFound(held.body, id, found.get(id), shownRun);
    const about = shown
      .map((one) => made().find((study) => study.id === one))
      .map((study) => `${when(study.created)} · ${wears(study)}`);
    studiesBeside(
      held.body,
      shown.map((one, i) => ({ id: one, about: about[i], found: found.get(one) })),
      shownRun,
      written,
    );
  }

  function paintResults() {
    const value = props.value || {},
      all = value.run === view.run ? value.studies || [] : [];
    const there = new Set(all.map((study) => study.id));
    for (const id of [...cards.keys()])
      if (!there.has(id)) {
        cards.get(id).root.remove();
        for (const map of [cards, found, open, beside]) map.delete(id);
        for (const [one, other] of beside) if (other === id) compare(one);
      }
    const done = all.find((study) => study.id === expected && study.status !== "queued" && study.status !== "running");
    if (done) {
      expected = null;
      if (done.status === "done") {
        open.add(done.id);
        card(done);
        want(done.id);
      }
    }
    const roots = all.map(card);
    if (roots.some((root, i) => results.children[i] !== root)) results.replaceChildren(...roots);
    if (value.notice) note.textContent = value.notice;
    else if (note.textContent === painted) note.textContent = "";
    painted = value.notice || painted;
  }
  function take() {
    if (view.run !== shownRun) {
      shownRun = view.run;
      Object.assign(choice, { lanes: null, rounds: {} });
      for (const map of [cards, found, open, beside]) map.clear();
      wanted.length = 0;
      results.replaceChildren();
    }
    paintResults();
  }
  watch("value", take);
  watch("found", fetched);
  watch("told", () => {
    const told = props.told || {};
    note.textContent = told.message || "";
    note.classList.toggle("error", Boolean(told.wrong));
    if (told.study) expected = told.study;
    paintResults();
  });
  let seen = "";
  listen(() => {
    const now = JSON.stringify([view.run, looked(), run.lanes, begun(), run.lanes.map(slotOf)]);
    if (now === seen) return;
    seen = now;
    take();
    const label = form.querySelector("[data-how=this]");
    if (!form.contains(document.activeElement)) paintForm();
    else if (label) label.textContent = lookedAt();
  });
  paintList();
  paintForm();
  take();
}
