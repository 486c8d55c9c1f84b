// The experiment's lanes, one card each, and which of them the open run does not have.
import { target } from "../shared/dom.js";
import { laneCard } from "./card.js";
import { recipeOf } from "./recipe.js";
import { keepColours, slotsOf } from "../shared/lanes.js";
import { form, listen, run, tell, view } from "../shared/state.js";
import * as address from "../shared/address.js";

/** @type {() => Record<string, any>} of the form on this page, once it is there */
let offers = () => ({});

/**
 * The parts of lanes: the catalogue of methods and guards, and the curves that show the meaning of τ.
 * @returns {Record<string, any>}
 */
export const offered = () => offers();

/**
 * The cards.
 * @param {Context} context - `value`: the lanes; `has`: those of the open run; `settled`: their resolved settings;
 *   `catalogue`, `curves`, `problems`.
 */
export function lanes({ element, props, watch, trigger }) {
  const MOST = 6;
  const list = element.querySelector(".cards"),
    add = element.querySelector("[data-do=add]"),
    settings = element.querySelector("[data-do=settings]");
  const lanes = () => props.value?.lanes || [];
  const set = (next) => {
    props.value = { ...props.value, lanes: next };
    keep();
  };
  const change = (index, change) => {
    const next = lanes().slice();
    next[index] = { ...next[index], ...change };
    set(next);
    offer();
  };
  const beware = (index) =>
    (props.settled?.notes || [])
      .filter((found) => found.lane === index)
      .map((found) => found.message)
      .join(" ");
  const { card, settle } = laneCard(() => props, {
    settled: (index) => props.settled?.lanes?.[index],
    beware,
    lanes,
    change,
    paint: () => paint(),
    colour: (index) => colours()[index],
    remove(index) {
      set(lanes().filter((_, i) => i !== index));
      paint();
    },
  });

  const recipe = (lane) => recipeOf(lane, props.catalogue);
  const ofRun = () => (view.run ? props.has || [] : []).map(recipe);
  /** By card: whether the run does not have its lane. */
  const pending = () => lanes().map((lane) => !ofRun().includes(recipe(lane)));
  /** By card: the index of its lane in the open run, each used once; -1 if it has none. */
  const places = () => {
    const has = ofRun();
    return lanes().map((lane) => {
      const place = has.indexOf(recipe(lane));
      if (place >= 0) has[place] = null;
      return place;
    });
  };
  /** The colours of the cards: those of the run's lanes, and for new lanes the colours that they would get. */
  function colours() {
    const has = view.run ? (props.has || []).length : 0,
      found = places();
    const slots = slotsOf(has + lanes().length);
    let next = has;
    return lanes().map((lane, i) => lane.colour || slots[found[i] < 0 ? next++ : found[i]]);
  }
  const keep = () => {
    form.colours = colours();
    ask();
  };
  // The server resolves the lanes' settings: requested shortly after the last change.
  let waiting = null,
    asked = JSON.stringify([lanes(), ""]); // the page contains the settings of its initial lanes
  function ask() {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const source = form.source?.() || "",
        said = JSON.stringify([lanes(), source]);
      if (said === asked) return;
      asked = said;
      trigger("settle", { lanes: lanes(), source });
    }, 250);
  }
  form.settle = ask;
  function settled() {
    [...list.children].forEach((element, index) => {
      settle(element);
      element.querySelector(".beware").textContent = beware(index);
    });
  }
  /** "Add to this run" is shown beside Run while the form has lanes that the run does not have. */
  function offer() {
    document.body.classList.toggle("can-add", ofRun().length > 0 && pending().some(Boolean));
    settings.hidden = run.lanes.length < 2;
  }
  function paint() {
    list.replaceChildren(...lanes().map(card));
    add.disabled = lanes().length >= MOST;
    add.title = add.disabled ? `This form takes up to ${MOST} lanes. A sweep or a branch adds more to a run` : "";
    keep();
    offer();
  }
  add.addEventListener("click", () => {
    const { from, without, ...last } = lanes().at(-1);
    set([...lanes(), { ...last, name: "", colour: undefined, guard: last.guard || "" }]);
    paint();
  });
  settings.addEventListener("click", () => address.show("compare", { with: view.run }));

  // Added lanes keep the colours of their cards.
  let adding = null;
  document.addEventListener("click", (event) => {
    if (!target(event)?.closest("#add-lanes")) return;
    const found = pending();
    adding = { run: view.run, before: run.lanes.length, colours: colours().filter((_, i) => found[i]) };
  });
  function coloured() {
    if (adding?.run !== view.run || run.lanes.length !== adding?.before + adding?.colours.length) return;
    keepColours(view.run, [...slotsOf(adding.before), ...adding.colours]);
    adding = null;
    tell({});
  }
  form.probes = (next) => {
    if (next) {
      props.value = { ...props.value, probes: next };
      tell({ saved: true });
    }
    return props.value?.probes || [];
  };
  watch("value", paint);
  watch("value", () => tell({ saved: true }));
  watch("problems", paint);
  watch("catalogue", () => {
    asked = ""; // another model
    paint();
  });
  watch("has", paint);
  watch("settled", settled);
  let seen = run.curves,
    counted = 0;
  listen((change) => {
    if ("run" in change) counted = 0;
    if (run.lanes.length !== counted) {
      if (counted && view.run) trigger("has"); // lanes were added, here or elsewhere
      counted = run.lanes.length;
      coloured();
      offer();
    }
    if (run.curves === seen) return;
    seen = run.curves;
    paint();
  });
  offers = () => ({ catalogue: props.catalogue, curves: props.curves });
  keep();
  paint();
}
