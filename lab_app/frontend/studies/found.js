// The result of a study, written into the body of its card: charts with the tools of panels, tables, and notes. `run`
// is its run. If `other` is shown beside it, both have the same axes.
import { STUDY } from "../charts/frame.js";
import { frame, panel } from "../charts/panel.js";
import { distinct } from "../charts/select.js";
import { rowsOf } from "../charts/tables.js";
import { symbols } from "../shared/format.js";
import { h, save } from "../shared/dom.js";
import { asCsv, asTable } from "../shared/table.js";

/** A chart of a study with its table, drawn as a panel; `beside` is the same table of another result. */
function studyPlot(chart, table, beside) {
  const rows = rowsOf(table),
    columns = table.columns.map((name) => ({ name, title: "", unit: "", note: "" }));
  return {
    plot: { charts: [chart] },
    data: { rows: { [chart.table]: rows }, columns: { [chart.table]: columns }, lanes: distinct(rows, "lane") },
    beside: beside ? rowsOf(beside) : null,
    looks: STUDY,
  };
}

/**
 * Writes the result of a study into the body of its card.
 * @param {HTMLElement} body
 * @param {number | string} id - of the study.
 * @param {any} result
 * @param {string} run - the run of the study.
 * @param {any} other - a result shown beside it: both have the same axes.
 */
export function studyFound(body, id, result, run, other = null) {
  /** One chart with the tools of a panel. */
  function placed(chart, place) {
    const key = `${result.study}-${id}${other ? "-beside" : ""}-${place + 1}`;
    const says = chart.kind === "heat" ? `${chart.y_title}, by ${chart.x_title || chart.x}` : chart.y_title;
    const cutOff =
      cut(chart.table) && `Drawn from the first ${cut(chart.table)} rows of the table; the page receives no more.`;
    const notes = cutOff ? [h("p", { class: "small" }, cutOff)] : [];
    const holder = h("div", { class: "holder" }, frame(symbols(chart.title), symbols(says), notes));
    const value = { run, feed: key, rows: {} };
    const context = { element: holder, props: { value }, watch() {}, trigger() {} };
    return [
      holder,
      () => panel(context, key, studyPlot(chart, result.tables[chart.table], other?.tables[chart.table])),
    ];
  }
  /** The number of received rows of a table, if they are not all. */
  function cut(name) {
    const { values, rows } = result.tables[name],
      first = values[0] || [],
      here = (Array.isArray(first) ? first : first.at).length;
    return here < rows ? here.toLocaleString("en") : "";
  }
  /** The reasons why tables have no rows. */
  function empty() {
    const told = result.empty || [],
      said = new Set(told.map((one) => one.table)),
      silent = Object.keys(result.tables).filter((name) => !filled(name) && !said.has(name));
    const several = (result.lanes || []).length > 1;
    return [
      ...told.map(
        ({ table, lane, why }) => `${table.replaceAll("_", " ")}${several ? ` of ${lane}` : ""}: no rows; ${why}.`,
      ),
      ...silent.map(
        (name) => `${name.replaceAll("_", " ")}: no rows; this result is older than the reasons that are kept.`,
      ),
    ].map((text) => h("p", { class: "small why", dir: "auto" }, symbols(text)));
  }
  /** Facts in a table open their card; those of the ripple study are unedited facts. */
  const linked = (column, value) =>
    column === "fact" && Number.isInteger(value) && value >= 0
      ? { "data-fact": value, "data-unedited": result.study === "ripple", title: "Open this fact" }
      : null;
  function tableOf(name) {
    const { columns, values, rows } = result.tables[name];
    const lists = values.map((list) =>
      Array.isArray(list) ? list : list.at.map((at) => (at === null ? null : list.words[at])),
    );
    const all = (lists[0] || []).map((_, i) => lists.map((list) => list[i]));
    const holder = h("div", { class: "as-table" });
    return h(
      "details",
      {
        class: "table",
        ontoggle: (event) => event.target.open && !holder.firstChild && holder.append(...asTable(columns, all, linked)),
      },
      h(
        "summary",
        {},
        `${name.replaceAll("_", " ")} `,
        h(
          "span",
          {},
          `${rows.toLocaleString("en")} row${rows === 1 ? "" : "s"}${cut(name) ? `, the first ${cut(name)} of which are here` : ""}`,
        ),
      ),
      h(
        "button",
        { type: "button", class: "csv", onclick: () => save(`${result.study}-${id}-${name}.csv`, asCsv(columns, all)) },
        "Save as CSV",
      ),
      holder,
    );
  }
  const filled = (name) => result.tables[name]?.rows > 0;
  const charts = result.charts.filter((chart) => filled(chart.table)).map(placed);
  const tables = Object.keys(result.tables).filter(filled);
  const seconds =
    result.seconds === undefined
      ? null
      : `${result.seconds < 10 ? result.seconds.toFixed(1) : Math.round(result.seconds)} s`;
  body.replaceChildren(
    h("p", { class: "asks" }, symbols(result.question)),
    h(
      "div",
      { class: "charts" },
      charts.map(([holder]) => holder),
    ),
    h("div", { class: "tables" }, tables.map(tableOf)),
    ...empty(),
    h("p", { class: "small" }, symbols(result.protocol || "")),
    ...(result.notes || []).map((one) => h("p", { class: "small", dir: "auto" }, symbols(one))),
    h(
      "p",
      { class: "small" },
      [`After: ${result.source}`, result.model, seconds && `measured in ${seconds}`].filter(Boolean).join(" · "),
    ),
  );
  charts.forEach(([, mount]) => mount());
}

// Two results of a study side by side: the differences of their options, then their charts with the same axes.
/**
 * Writes two results side by side.
 * @param {HTMLElement} body
 * @param {{ id: number, about: string, found: any }[]} results
 * @param {string} run - the run of both.
 * @param {(value: any) => any} written - a value as shown in the form.
 */
export function studiesBeside(body, results, run, written) {
  const roundsOf = ({ rounds = {} }) => {
    const each = Object.values(rounds).map((numbers) => numbers.join(", "));
    return new Set(each).size < 2
      ? each[0]
      : Object.keys(rounds)
          .map((lane, i) => `${lane}: ${each[i]}`)
          .join("; ");
  };
  const asked = ({ found }) => ({ lanes: (found.lanes || []).join(", "), rounds: roundsOf(found), ...found.options });
  const [one, other] = results.map(asked),
    said = (value) => (value === undefined ? "–" : String(written(value)) || "automatic");
  const differ = Object.keys({ ...one, ...other }).filter((name) => said(one[name]) !== said(other[name]));
  const columns = results.map(() => h("div", { class: "found" }));
  body.replaceChildren(
    h(
      "div",
      { class: "differences as-table", role: "region", "aria-label": "What differs" },
      differ.length
        ? h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                ["asked", "left", "right"].map((name) => h("th", { scope: "col" }, name)),
              ),
            ),
            h(
              "tbody",
              {},
              differ.map((name) =>
                h(
                  "tr",
                  {},
                  h("th", { scope: "row" }, name),
                  [one, other].map((from) => h("td", { dir: "auto" }, said(from[name]))),
                ),
              ),
            ),
          )
        : h("p", { class: "small" }, "Both used the same options."),
    ),
    h(
      "div",
      { class: "pair" },
      results.map(({ about }, i) =>
        h("section", { "aria-label": i ? "right" : "left" }, h("h4", { dir: "auto" }, about), columns[i]),
      ),
    ),
  );
  results.forEach(({ id, found }, i) => studyFound(columns[i], `${id}`, found, run, results[1 - i].found));
}
