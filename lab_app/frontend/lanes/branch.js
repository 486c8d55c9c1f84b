// A new lane from a round of another lane: with another recipe, or without some facts of that round.
import { laneCard } from "./card.js";
import { offered } from "./lanes.js";
import { h } from "../shared/dom.js";
import { shown, slotOf, slotsOf } from "../shared/lanes.js";
import { run, view } from "../shared/state.js";

/** @typedef {{ lane?: string, round?: number, without?: number[] }} Undone - facts of a lane's round, by number */
/** @type {(about?: Undone) => void} of the dialog on this page, once it is there */
let show = () => {};

/**
 * Open the dialog.
 * @param {Undone} [about] - preselected facts to leave out.
 */
export function openBranch(about) {
  show(about);
}

/**
 * The dialog.
 * @param {Context} context - `facts`: those of the requested round; `told`: the result of a branch.
 */
export function branch({ element, props, watch, trigger }) {
  const MANY = 8; // number of facts from which a search field is shown
  const dialog = element.querySelector("dialog");
  const find = (selector) => dialog.querySelector(selector);
  const parent = find("select.lane"),
    round = find("select.round"),
    lead = find(".lead"),
    recipe = find(".recipe"),
    facts = find(".chosen-facts"),
    search = find("input[type=search]"),
    list = find(".scroll"),
    note = find(".note"),
    main = find("[data-do=add]");
  /** @type {{ mode: string, lane: Lane, without: Set<number>, asked: string, round: number | null }} */
  const state = {
    mode: "recipe",
    lane: { method: "memit", guard: "revive", tau: 0.1 },
    without: new Set(),
    asked: "",
    round: null,
  };

  const { card } = laneCard(() => offered(), {
    lanes: () => [state.lane],
    change: (_, change) => Object.assign(state.lane, change),
    paint: () => paint(),
    colour: () => slotsOf(run.lanes.length + 1)[run.lanes.length],
    remove: null,
  });
  const undoing = () => state.mode === "undo";
  const last = () => run.measured.at(-1) ?? 0;
  /** Rounds to branch after: all but the run's last. Rounds to undo facts of: all edited rounds. */
  const rounds = () =>
    [...Array(undoing() ? last() : Math.min(last(), run.rounds - 1)).keys()].map((number) => number + 1);

  function paint() {
    for (const button of dialog.querySelectorAll("[data-mode]"))
      button.setAttribute("aria-pressed", String(button.dataset.mode === state.mode));
    const chosen = run.lanes.includes(parent.value) ? parent.value : shown()[0] || run.lanes[0];
    parent.replaceChildren(...run.lanes.map((lane) => h("option", { value: lane, selected: lane === chosen }, lane)));
    dialog.className = `branch slot-${slotOf(chosen)}`;
    const known = rounds(),
      now = state.round && known.includes(state.round) ? state.round : (known.at(-1) ?? 0);
    round.replaceChildren(
      ...known.map((number) => h("option", { value: number, selected: number === now }, String(number))),
    );
    find(".round-says").textContent = undoing() ? "round" : "after round";
    recipe.hidden = undoing();
    facts.hidden = !undoing();
    if (!undoing()) recipe.replaceChildren(card(state.lane, 0));
    lead.textContent = !known.length
      ? "There is no round to branch from: this run has one round."
      : undoing()
        ? `Round ${now} of ${chosen} is replayed without the selected facts, followed by all later rounds. ` +
          "Compare the two lanes to see what recovers."
        : `The new lane is ${chosen} up to the end of round ${now}; ` +
          (now + 1 === run.rounds ? `round ${run.rounds} is` : `rounds ${now + 1} to ${run.rounds} are`) +
          " edited by the recipe below.";
    main.disabled = !known.length || (undoing() && !state.without.size);
    if (undoing()) ask(now);
  }
  /** The facts of the round, requested once. */
  function ask(number) {
    const key = `${view.run} ${number}`;
    if (!number || state.asked === key) return;
    state.asked = key;
    state.without.clear();
    search.value = "";
    list.replaceChildren(h("p", { class: "wanted" }, "…"));
    trigger("facts", { round: number });
  }
  function fill() {
    const { round: number, run: of, facts: found = [], message = "" } = props.facts || {};
    if (`${of} ${number}` !== state.asked && !message) return;
    note.textContent = message;
    const wanted = search.value.trim().toLowerCase();
    search.hidden = found.length < MANY;
    list.replaceChildren(
      ...found
        .filter(({ text = "", target = "" }) => `${text} ${target}`.toLowerCase().includes(wanted))
        .map(({ fact, text, target, truth }) =>
          h(
            "label",
            {},
            h("input", {
              type: "checkbox",
              checked: state.without.has(fact),
              onchange: (event) => {
                if (event.target.checked) state.without.add(fact);
                else state.without.delete(fact);
                main.disabled = !state.without.size;
              },
            }),
            h("span", { class: "number" }, String(fact + 1)),
            text
              ? h(
                  "span",
                  { dir: "auto" },
                  `${text} → `,
                  h("b", {}, target),
                  truth ? h("span", { class: "was" }, ` was ${truth}`) : null,
                )
              : h("span", {}, `fact ${fact + 1}`),
          ),
        ),
    );
  }
  /** Open the dialog. Other parts of the page may pass a fact to undo, with its lane and round. */
  show = ({ lane, round: number, without } = {}) => {
    note.textContent = "";
    note.classList.remove("error");
    state.asked = "";
    if (without) state.mode = "undo";
    if (lane) parent.replaceChildren(h("option", { value: lane, selected: true }, lane));
    state.round = number ?? view.round ?? last();
    paint();
    if (without) for (const fact of without) state.without.add(fact);
    if (without) main.disabled = false;
    if (!dialog.open) dialog.showModal();
  };
  dialog.addEventListener("click", (event) => {
    const mode = event.target.closest("[data-mode]")?.dataset.mode;
    if (mode) {
      state.mode = mode;
      state.asked = "";
      paint();
    }
    if (event.target === dialog || event.target.closest("[data-do=close]")) dialog.close();
  });
  parent.addEventListener("change", paint);
  round.addEventListener("change", () => {
    state.round = Number(round.value);
    paint();
  });
  search.addEventListener("input", fill);
  main.addEventListener("click", () => {
    main.disabled = true;
    note.classList.remove("error");
    note.textContent = "asking…";
    const at = { parent: parent.value, round: Number(round.value) };
    trigger("branch", undoing() ? { ...at, without: [...state.without] } : { ...at, lane: state.lane });
  });
  watch("facts", fill);
  watch("told", () => {
    const { added, message = "" } = props.told || {};
    main.disabled = false;
    if (added) return dialog.close();
    note.textContent = message;
    note.classList.add("error");
  });
}
