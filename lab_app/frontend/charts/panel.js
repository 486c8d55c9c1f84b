// A panel: a plot that keeps its zoom while data arrive, the same numbers as a table, and downloads.
import { paintChoices, viewOf } from "./choices.js";
import { drawn } from "./draw.js";
import { figures, legend } from "./figures.js";
import { PANEL } from "./frame.js";
import * as plotly from "./plotly.js";
import { numbersOf, tableOf } from "./select.js";
import { SPECIALS } from "./specials.js";
import { gatherer } from "./tables.js";
import { openFact } from "../facts/card.js";
import { h, save } from "../shared/dom.js";
import { reader } from "../shared/feed.js";
import { shown } from "../shared/lanes.js";
import { listen, run, tell, view } from "../shared/state.js";
import { asCsv, asTable } from "../shared/table.js";

const CALM = 250, // ms between two drawings without a user's action
  SHARE = 10; // and at least this multiple of the last drawing's duration

/**
 * Draw a panel into its element. `key`: its name. `given`: a plot with all its data, `{ plot, data, beside,
 * looks }`, if it does not get data through `props`.
 * @param {Context} context - `plot` and `columns`: what is drawn; `value`: the feed of its rows.
 * @param {string} key - its name.
 * @param {Given | null} given - a plot with all of its data, if it does not get data through `props`.
 */
export function panel({ element, props, watch, trigger }, key, given = null) {
  const plot = given?.plot || props.plot,
    looks = given?.looks || PANEL;
  const special = SPECIALS[key] || {};
  const read = reader(),
    gather = given ? () => given.data : gatherer(props.columns);
  const section = element.querySelector(".panel");
  const find = (selector) => section.querySelector(selector);
  const canvas = find(".plot"),
    numbers = find(".numbers"),
    choices = find(".choices"),
    table = find(".as-table");
  const taken = find(".protocol").textContent,
    promise = find(".empty").textContent;
  const state = {};
  const context = { section, canvas, state, props, trigger, redraw: () => ask(true) };
  let data = gather([]),
    dirty = true,
    visible = false,
    asked = 0,
    ended = -1e9,
    cost = 0,
    there = false,
    settling = false;

  const filled = () => Object.values(data.rows).some((rows) => rows.length) && data.lanes.length > 0;
  const looked = () => viewOf(plot, data, { lanes: shown(), round: view.round, layer: view.layer, state });
  const tables = () => (special.data ? special.data(data, context) : data);

  /** Schedule a drawing: at once after a user's action, otherwise rarely, so that drawing takes little time. */
  function ask(urgent = false) {
    dirty = true;
    if (!visible && !urgent) return settle();
    if (asked && !urgent) return;
    clearTimeout(asked);
    const rest = urgent ? cost : Math.max(CALM, SHARE * cost);
    asked = setTimeout(() => requestAnimationFrame(draw), Math.max(0, ended + rest - performance.now())) || 1;
  }

  /** Panels outside of the view are drawn once, when the browser is idle: then they have their height, and the
   * page does not grow while somebody scrolls. */
  function settle() {
    if (settling || there || !filled()) return;
    settling = true;
    (window.requestIdleCallback || setTimeout)(() => {
      settling = false;
      if (!there) ask(true);
    });
  }

  function draw() {
    asked = 0;
    if (!dirty || !plotly.ready()) return;
    const began = performance.now();
    if (!filled()) {
      if (there) plotly.clear(canvas);
      there = false;
      numbers.replaceChildren();
      choices.replaceChildren();
      return;
    }
    dirty = false;
    const box = { width: canvas.clientWidth || 320, wide: section.classList.contains("is-wide") };
    if (!table.hidden) return fill();
    if (box.width < 40) {
      dirty = true;
      return;
    }
    const now = looked(),
      known = tables(),
      figure = drawn(plot, known, now, box, { looks, beside: given?.beside });
    const heads = given
      ? legend(plot.charts[0], figure.cells[0]?.lanes || [], known)
      : figures(numbersOf(plot, known, now));
    numbers.replaceChildren(...(special.heads ? special.heads(figure, known, now, context) : heads));
    if (plot.side_by_side) {
      numbers.style.setProperty("--columns", figure.columns);
      numbers.classList.toggle("many", figure.columns > 4);
    }
    paintChoices(choices, plot, known, now, pick);
    const revision = [view.run, key, now.picks, now.facet, given ? now.lanes : 0, figure.revision];
    plotly.put(canvas, figure, box, JSON.stringify(revision));
    if (!there) {
      there = true;
      canvas.on("plotly_click", clicked);
    }
    special.after?.(context);
    ended = performance.now();
    cost = ended - began;
  }

  function clicked(event) {
    const place = event.points[0],
      round = place.data.rounds?.[place.pointIndex],
      fact = place.data.facts?.[place.pointIndex] ?? null;
    if (round !== undefined) tell({ round: round === Math.max(...run.measured) ? null : round });
    if (fact !== null && fact >= 0) openFact(fact);
    const lane = place.data.lane ?? null;
    trigger("point_click", { panel: key, round: round ?? view.round, lane, index: place.pointIndex, fact });
  }

  function pick(name, value, shared) {
    if (shared) return tell({ [name]: value });
    state[name] = value;
    special.picked?.(name, value, data, context);
    ask(true);
  }

  const rows = () => tableOf(plot, tables(), looked());
  function fill() {
    const found = rows();
    table.replaceChildren(...asTable(found.columns, found.rows));
  }
  const actions = {
    table(button) {
      table.hidden = !table.hidden;
      button.setAttribute("aria-pressed", String(!table.hidden));
      find(".canvas").hidden = !table.hidden;
      if (table.hidden) ask(true);
      else fill();
    },
    wide() {
      section.classList.toggle("is-wide");
      element.closest(".lab-widget")?.classList.toggle("is-wide");
      ask(true);
    },
    png: () => plotly.download(canvas, "png", `edit-lab-${key}`),
    svg: () => plotly.download(canvas, "svg", `edit-lab-${key}`),
    csv() {
      const found = rows();
      save(`${key}.csv`, asCsv(found.columns, found.rows));
    },
  };
  section.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) {
      actions[button.dataset.do](button);
      button.closest("details.save")?.removeAttribute("open");
    }
  });

  const update = () => {
    data = gather(read(props.value));
    section.classList.toggle("has-data", filled());
    find(".protocol").textContent = [taken, data.start?.protocol].filter(Boolean).join("; ");
    find(".empty").textContent = data.start?.lacking || promise;
    special.begun?.(data);
    ask();
  };
  watch("value", update);
  watch("asked", () => ask(true));
  listen((change) => ask(visible && ("round" in change || "layer" in change)));
  new IntersectionObserver(
    (entries) => {
      visible = entries[entries.length - 1].isIntersecting;
      if (visible) ask();
    },
    { rootMargin: "200px" },
  ).observe(section);
  new ResizeObserver(() => ask()).observe(canvas);
  plotly.whenReady(() => ask());
  update();
}

/**
 * The constant parts of a panel that is made here: its tools, and places for its content. `title`, `protocol`
 * and the elements in `notes` are its texts.
 * @param {string} title
 * @param {string} protocol
 * @param {HTMLElement[]} notes - shown below the protocol.
 * @returns {HTMLElement}
 */
export function frame(title, protocol, notes = []) {
  const tool = (name, text, extra = {}) => h("button", { type: "button", "data-do": name, ...extra }, text);
  const saving = h(
    "details",
    { class: "save" },
    h("summary", { title: "Save this chart" }, "Save"),
    h("div", {}, tool("png", "PNG"), tool("svg", "SVG"), tool("csv", "CSV")),
  );
  const tools = [
    tool("table", "Table", { title: "Read as a table", "aria-pressed": "false" }),
    saving,
    tool("wide", "⤢", { title: "Enlarge", "aria-label": "Enlarge" }),
  ];
  return h(
    "section",
    { class: "panel", "aria-label": title },
    h("header", {}, h("h3", {}, title), h("div", { class: "tools" }, tools)),
    h("p", { class: "protocol" }, protocol),
    ...notes,
    h("div", { class: "choices" }),
    h("div", { class: "numbers" }),
    h("div", { class: "canvas" }, h("div", { class: "plot" }), h("p", { class: "empty" }, "")),
    h("div", { class: "as-table", hidden: true }),
  );
}
