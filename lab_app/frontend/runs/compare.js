// Lanes of several runs side by side: their curves on one set of axes, their last scores, and their settings.
import { plotLayout, whenPlotly } from "../charts/layout.js";
import { css, h } from "../shared/dom.js";
import { percent } from "../shared/format.js";
import { SLOTS, slotOf } from "../shared/lanes.js";
import { listen, view } from "../shared/state.js";

/**
 * Lanes of several runs side by side.
 * @param {Part} element - where they stand.
 * @param {() => void} back - back to the list.
 * @returns {{ paint(found: Record<string, any>): void, wait(): void }} shows what was found, or that it is being read.
 */
export function comparison(element, back) {
  const NAMES = {
    efficacy: "Efficacy",
    paraphrase: "Paraphrase",
    neighborhood: "Neighborhood",
    efficacy_exact: "Efficacy, exact",
    paraphrase_exact: "Paraphrase, exact",
    neighborhood_exact: "Neighborhood, exact",
    efficacy_when_edited: "Efficacy when edited",
    unedited_recall: "Unedited facts, exact",
    task_mean: "Tasks, mean",
    edits: "Edits",
    round: "Round",
  };
  const COUNTS = ["edits", "round"];
  const MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "x"],
    DASHES = ["solid", "dash", "dot"];
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
  const measures = () =>
    Object.keys(NAMES).filter((name) => (value.lanes || []).some((lane) => lane.curve[name]?.length));
  const curves = () => measures().filter((name) => name !== "edits");

  function draw() {
    if (!value.lanes || element.hidden || !window.Plotly || !plot.clientWidth) return;
    const known = curves();
    plot.hidden = !known.length;
    if (!known.length) return;
    if (!known.includes(measure)) measure = known[0];
    const traces = value.lanes.map((lane, place) => ({
      type: "scatter",
      mode: "lines+markers",
      name: named(lane),
      x: lane.curve.edits,
      y: lane.curve[measure] || [],
      line: { color: css(`--lane-${slot(place)}`), dash: dash(place), width: 2 },
      marker: { symbol: marker(place), size: 6, color: css(`--lane-${slot(place)}`) },
      hovertemplate: "%{x} edits: %{y:.1%}<extra>%{fullData.name}</extra>",
    }));
    const layout = plotLayout(
      {
        height: 260,
        xaxis: { title: { text: "edits" }, rangemode: "tozero" },
        yaxis: { range: [-0.02, 1.02], tickformat: ".0%" },
        margin: { l: 46, r: 12, t: 8, b: 40 },
      },
      { width: plot.clientWidth, wide: false },
      `compare ${measure}`,
    );
    Plotly.react(plot, traces, layout, { displayModeBar: false, responsive: false, doubleClick: "reset" });
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
    const known = Object.keys(NAMES).filter((name) => value.lanes.some((lane) => lane.scores[name] !== undefined));
    const cell = (name, lane) => {
      const found = lane.scores[name];
      if (found === undefined || found === null) return "–";
      return COUNTS.includes(name) ? found.toLocaleString("en") : percent(found);
    };
    return known.map((name) => [NAMES[name], value.lanes.map((lane) => cell(name, lane))]);
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
        curves().map((name) =>
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
            NAMES[name],
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
  whenPlotly(draw);
  return {
    paint,
    wait() {
      paint({ message: "" });
      note.textContent = "Reading the runs…";
    },
  };
}
