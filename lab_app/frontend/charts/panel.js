// A panel: a plot that keeps its zoom while it grows, the same numbers as a table, and ways to save them.
import { plotLayout, whenPlotly } from "./layout.js";
import { directions } from "./directions.js";
import { frontier } from "./frontier.js";
import { drift, energy, similarity } from "./inside.js";
import { map } from "./map.js";
import { scores, tasks } from "./outside.js";
import { openFact } from "../facts/card.js";
import { css, h, save } from "../shared/dom.js";
import { byLane, reader } from "../shared/feed.js";
import { listen, run, tell, view } from "../shared/state.js";
import { asCsv, asTable } from "../shared/table.js";

/** @type {Record<string, any>} */
const PANELS = { scores, tasks, energy, similarity, drift, directions, map, frontier };

/**
 * Draw a panel into its element.
 * @param {Context} context - `value`: the feed of its rows.
 * @param {string} key - its name.
 * @param {any} chart - what is drawn; by the name where it is a panel of the page.
 */
export function panel({ element, props, watch, trigger }, key, chart = PANELS[key]) {
  const CALM = 250, // ms between two drawings that nobody asked for
    SHARE = 10; // and at least so many times what the last one took

  const read = reader();
  const section = element.querySelector(".panel");
  const find = (selector) => section.querySelector(selector);
  const plot = find(".plot"),
    numbers = find(".numbers"),
    choices = find(".choices"),
    table = find(".as-table");
  const taken = find(".protocol").textContent,
    promise = find(".empty").textContent;
  const state = { ...chart.choices };
  const context = { state, props, trigger, redraw: () => ask(true) };
  let model = byLane([]),
    dirty = true,
    visible = false,
    asked = 0,
    ended = -1e9,
    cost = 0,
    drawn = false,
    settling = false;

  const filled = () =>
    [...model.lanes.values()].some((rows) => rows.length) || Boolean(model.start && chart.drawsStart);

  /** Draw soon: at once when a person asked for it, else so seldom that drawing takes a small part of the time. */
  function ask(urgent = false) {
    dirty = true;
    if (!visible && !urgent) return settle();
    if (asked && !urgent) return;
    clearTimeout(asked);
    const rest = urgent ? cost : Math.max(CALM, SHARE * cost);
    asked = setTimeout(() => requestAnimationFrame(draw), Math.max(0, ended + rest - performance.now())) || 1;
  }

  /** What nobody looks at is drawn once all the same, when there is nothing else to do: then it has its height, and the
   * page does not grow under who scrolls. */
  function settle() {
    if (settling || drawn || !filled()) return;
    settling = true;
    (window.requestIdleCallback || setTimeout)(() => {
      settling = false;
      if (!drawn) ask(true);
    });
  }

  function draw() {
    asked = 0;
    if (!dirty || !window.Plotly) return;
    const began = performance.now();
    if (!filled()) {
      if (drawn) {
        Plotly.purge(plot);
        drawn = false;
      }
      numbers.replaceChildren();
      choices.replaceChildren();
      return;
    }
    dirty = false;
    const box = { width: plot.clientWidth || 320, wide: section.classList.contains("is-wide") };
    if (!table.hidden) return fill();
    if (box.width < 40) {
      dirty = true;
      return;
    }
    const figure = chart.draw(model, view, box, context);
    numbers.replaceChildren(...(figure.numbers || []));
    if (figure.columns) numbers.style.setProperty("--columns", figure.columns);
    numbers.classList.toggle("many", figure.columns > 4);
    paintChoices();
    const layout = plotLayout(
      figure.layout,
      box,
      `${view.run} ${key} ${JSON.stringify(state)} ${figure.revision || ""}`,
    );
    Plotly.react(plot, figure.traces, layout, { displayModeBar: false, responsive: false, doubleClick: "reset" });
    if (!drawn) {
      drawn = true;
      plot.on("plotly_click", clicked);
    }
    ended = performance.now();
    cost = ended - began;
  }

  function clicked(event) {
    const place = event.points[0],
      round = place.data.rounds?.[place.pointIndex];
    if (round !== undefined) tell({ round: round === Math.max(...run.measured) ? null : round });
    const fact = place.data.facts?.[place.pointIndex];
    if (fact >= 0) openFact(fact);
    trigger("point_click", {
      panel: key,
      round: round ?? view.round,
      lane: place.data.lane ?? null,
      index: place.pointIndex,
      fact: place.data.facts?.[place.pointIndex] ?? null,
    });
  }

  /** Small switches above a plot: which numbers, which layer. */
  function paintChoices() {
    const groups = chart.options ? chart.options(model, context) : [];
    const wanted = JSON.stringify([groups, state, view.layer]);
    if (choices.dataset.painted === wanted) return;
    choices.dataset.painted = wanted;
    choices.replaceChildren(
      ...groups.map(({ name, label, values, chosen }) =>
        values.length > 5
          ? h(
              "select",
              { "aria-label": label, onchange: (event) => pick(name, values[event.target.selectedIndex][0]) },
              values.map(([value, text]) => h("option", { selected: value === chosen }, text)),
            )
          : h(
              "div",
              { class: "switch", role: "group", "aria-label": label },
              values.map(([value, text]) =>
                h(
                  "button",
                  {
                    type: "button",
                    "aria-pressed": String(value === chosen),
                    onclick: () => chart.choose?.(name, value, context) ?? pick(name, value),
                  },
                  text,
                ),
              ),
            ),
      ),
    );
  }
  function pick(name, value) {
    if (name === "layer") return tell({ layer: value });
    state[name] = value;
    ask(true);
  }

  function fill() {
    const { columns, rows } = chart.table(model, view, context);
    table.replaceChildren(...asTable(columns, rows));
  }
  function csv() {
    const { columns, rows } = chart.table(model, view, context);
    save(`${key}.csv`, asCsv(columns, rows));
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
    png: () => picture("png"),
    svg: () => picture("svg"),
    csv,
  };
  async function picture(format) {
    const paper = css("--card");
    await Plotly.relayout(plot, { paper_bgcolor: paper });
    await Plotly.downloadImage(plot, {
      format,
      filename: `edit-lab-${key}`,
      scale: format === "png" ? 2 : 1,
      width: Math.max(640, plot.clientWidth),
      height: Math.max(360, plot.clientHeight),
    });
    Plotly.relayout(plot, { paper_bgcolor: "rgba(0,0,0,0)" });
  }
  section.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) {
      actions[button.dataset.do](button);
      button.closest("details.save")?.removeAttribute("open");
    }
  });

  const update = () => {
    model = byLane(read(props.value));
    section.classList.toggle("has-data", filled());
    find(".protocol").textContent = [taken, chart.protocol?.(model)].filter(Boolean).join("; ");
    find(".empty").textContent = chart.lacks?.(model) || promise;
    chart.begun?.(model);
    ask();
  };
  watch("value", update);
  if (chart.extra) watch(chart.extra, () => ask(true));
  listen((change) => ask(visible && ("round" in change || "layer" in change)));
  new IntersectionObserver(
    (entries) => {
      visible = entries[entries.length - 1].isIntersecting;
      if (visible) ask();
    },
    { rootMargin: "200px" },
  ).observe(section);
  new ResizeObserver(() => ask()).observe(plot);
  whenPlotly(() => ask());
  update();
}
