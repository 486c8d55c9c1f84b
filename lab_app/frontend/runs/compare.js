// Lanes of several runs side by side: their curves on common axes, their last scores, and their settings.
import { drawn } from "../charts/draw.js";
import { PANEL } from "../charts/frame.js";
import * as plotly from "../charts/plotly.js";
import { MARKERS } from "../charts/worn.js";
import { css, h } from "../shared/dom.js";
import { percent } from "../shared/format.js";
import { SLOTS, slotOf } from "../shared/lanes.js";
import { listen, view } from "../shared/state.js";

const MARGINS = { left: 46, right: 12, top: 8, bottom: 40, inner: 212 };
const LOOKS = { ...PANEL, history: false, margins: MARGINS, line: () => 2, mark: () => 6 };

/**
 * Lanes of several runs side by side.
 * @param {Part} element - the element to draw into.
 * @param {() => void} back - back to the list.
 * @returns {{ paint(found: Record<string, any>): void, wait(): void }} shows the comparison, or that it is loading.
 */
export function comparison(element, back) {
  const COUNTS = { edits: "Edits", round: "Round" };
  const DASHES = ["solid", "dash", "dot"];
  const find = (selector) => element.querySelector(selector);
  const plot = find(".plot"),
    note = find(".note"),
    only = find(".only input");
  let value = {},
    measure = "efficacy";

  const slot = (place) =>
    value.runs?.length === 1 && value.runs[0].id === view.run ? slotOf(value.lanes[place].label) : (place % SLOTS) + 1;
  const marker = (place) => MARKERS[place % MARKERS.length];
  const dash = (place) => DASHES[Math.floor(place / SLOTS) % DASHES.length];
  const worn = {
    slot,
    marker,
    dash,
    colour: (place) => css(`--lane-${slot(place)}`),
    text: (place) => css(`--text-${slot(place)}`),
    name: (place) => named(value.lanes[place]),
  };
  const names = () => ({ ...value.names, ...COUNTS });
  /** The columns that can be drawn: `[column, name]` each. */
  const curves = () =>
    (value.plot?.choices[0].options || []).filter(([name]) => value.lanes.some((lane) => lane.curve[name]?.length));

  function draw() {
    if (!value.lanes || element.hidden || !plotly.ready() || !plot.clientWidth) return;
    const known = curves().map(([name]) => name);
    plot.hidden = !known.length;
    if (!known.length) return;
    if (!known.includes(measure)) measure = known[0];
    const at = (curve, i) => Object.fromEntries(known.map((name) => [name, curve[name]?.[i]]));
    const rows = value.lanes.flatMap(({ curve }, lane) =>
      (curve.edits || []).map((edits, i) => ({ lane, edits, ...at(curve, i) })),
    );
    const lanes = value.lanes.map((_, place) => place),
      data = { rows: { curves: rows }, columns: {}, lanes },
      box = { width: plot.clientWidth, wide: false };
    const looked = { lanes, round: null, picks: { measure }, facet: null };
    plotly.put(plot, drawn(value.plot, data, looked, box, { worn, looks: LOOKS }), box, `compare ${measure}`);
  }

  const named = (lane) => (value.runs.length > 1 ? `${lane.label} · ${value.runs[lane.run].title}` : lane.label);

  /** Columns are lanes; `rows` are [name, a text per lane]. */
  function table(rows) {
    const head = value.lanes.map((lane, place) =>
      h(
        "th",
        { scope: "col", class: `slot-${slot(place)}`, title: named(lane) },
        h(
          "span",
          { class: "lane", dir: "auto" },
          h("i", { class: `dot ${marker(place)}`, "aria-hidden": "true" }),
          lane.label,
        ),
        value.runs.length > 1 ? h("span", { class: "of", dir: "auto" }, value.runs[lane.run].title) : null,
      ),
    );
    return h(
      "table",
      {},
      h("thead", {}, h("tr", {}, h("td", {}), head)),
      h(
        "tbody",
        {},
        rows.map(([name, cells]) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, name),
            cells.map((cell) => h("td", { dir: "auto" }, cell)),
          ),
        ),
      ),
    );
  }

  function scores() {
    const known = Object.keys(names()).filter((name) => value.lanes.some((lane) => lane.scores[name] !== undefined));
    const cell = (name, lane) => {
      const found = lane.scores[name];
      if (found === undefined || found === null) return "–";
      return name in COUNTS ? found.toLocaleString("en") : percent(found);
    };
    return known.map((name) => [names()[name], value.lanes.map((lane) => cell(name, lane))]);
  }

  function settings() {
    const names = [...new Set(value.lanes.flatMap((lane) => Object.keys(lane.settings)))];
    const rows = names.map((name) => [
      name.replaceAll("_", " "),
      value.lanes.map((lane) => lane.settings[name] ?? "–"),
    ]);
    const differing = only.checked && value.lanes.length > 1;
    return differing ? rows.filter(([, cells]) => cells.some((cell) => cell !== cells[0])) : rows;
  }

  function choices() {
    find(".choices").replaceChildren(
      h(
        "div",
        { class: "switch" },
        curves().map(([name, says]) =>
          h(
            "button",
            {
              type: "button",
              "aria-pressed": String(name === measure),
              onclick: () => {
                measure = name;
                draw();
                choices();
              },
            },
            says,
          ),
        ),
      ),
    );
  }

  function fill() {
    const rows = settings();
    find(".settings").replaceChildren(
      rows.length ? table(rows) : h("p", { class: "note" }, "All settings of these lanes are the same."),
    );
  }

  function paint(found) {
    value = found;
    const there = Boolean(value.lanes);
    note.textContent = value.message || (value.notes || []).join(" ");
    note.classList.toggle("error", Boolean(value.message));
    for (const part of element.querySelectorAll(".choices, .protocol, .plot, h3, .as-table, .only"))
      part.hidden = !there;
    if (!there) return;
    const measured = curves().length > 0;
    for (const part of element.querySelectorAll(".choices, .protocol, .plot")) part.hidden = !measured;
    draw();
    choices();
    find(".scores").replaceChildren(measured ? table(scores()) : h("p", { class: "note" }, "Nothing is measured yet."));
    fill();
  }

  only.addEventListener("change", fill);
  find(".back").addEventListener("click", back);
  new ResizeObserver(draw).observe(plot);
  listen((change) => {
    if (!Object.keys(change).length) draw(); // light or dark
  });
  plotly.whenReady(draw);
  return {
    paint,
    wait() {
      paint({ message: "" });
      note.textContent = "Reading the runs…";
    },
  };
}
