// From a plot and its tables to what is drawn: the rows, in which series of which small chart, and the numbers.
// `core/charts/select.py` does the same for notebook figures; tests compare the two.
import { known, precise, said } from "./units.js";

/**
 * The distinct values of a column; numbers are sorted, words keep their order.
 * @param {any[]} rows
 * @param {string} name
 * @returns {any[]}
 */
export function distinct(rows, name) {
  const values = [...new Set(rows.map((row) => row[name]).filter(known))];
  return values.every((value) => typeof value === "number") ? values.sort((a, b) => a - b) : values;
}

const rowsIn = (data, table) => data.rows[table] || [];

/**
 * The declared column, or a plain one of this name.
 * @param {Tables} data
 * @param {string} table
 * @param {string} name
 * @returns {Column}
 */
export const columnOf = (data, table, name) =>
  (data.columns?.[table] || []).find((one) => one.name === name) || { name, title: "", unit: "", note: "" };

/**
 * The options of a choice: `[key, title]` each.
 * @param {Choice} choice
 * @param {Plot} plot
 * @param {Tables} data
 * @returns {[any, string][]}
 */
export function optionsOf(choice, plot, data) {
  const table = plot.charts[0].table,
    needs = choice.needs || {};
  if (choice.options?.length)
    return choice.options.filter(
      ([key]) => !(key in needs) || rowsIn(data, table).some((row) => (row[needs[key]] ?? null) !== null),
    );
  const { prefix } = choice;
  if (prefix)
    return (data.columns?.[table] || [])
      .filter(({ name }) => name.startsWith(prefix))
      .map(({ name, title }) => [name, title]);
  const column = choice.column || "";
  return distinct(rowsIn(data, table), column).map((value) => [value, `${column} ${value}`]);
}

/**
 * The chosen option of each choice: that of `view.picks`, else the first; for shared choices the last.
 * @param {Plot} plot
 * @param {Tables} data
 * @param {{ picks?: Record<string, any> }} view
 * @returns {Record<string, any>} the key of each choice.
 */
export function picksOf(plot, data, view) {
  const made = {};
  for (const choice of plot.choices || []) {
    const keys = optionsOf(choice, plot, data).map(([key]) => key),
      wanted = view.picks?.[choice.name];
    made[choice.name] = keys.includes(wanted) ? wanted : choice.shared ? keys.at(-1) : keys[0];
  }
  return made;
}

const isChosen = (value) => value !== null && typeof value === "object" && "choice" in value;

/**
 * A chart, rule or number with the choices filled in; "" if an option has no value.
 * @param {any} declared
 * @param {Record<string, any>} made - the key of each choice.
 * @returns {any}
 */
export function resolved(declared, made) {
  const filled = { ...declared };
  for (const [name, value] of Object.entries(declared))
    if (isChosen(value)) filled[name] = value.of ? (value.of[made[value.choice]] ?? "") : made[value.choice];
  return filled;
}

/**
 * The rows of a table that the view shows: of shown lanes or of none, with the values in `where` and what was
 * chosen; `atRound`: of each lane those of the last round up to the one looked at.
 * @param {Plot} plot
 * @param {Tables} data
 * @param {Looked} view
 * @param {string} table
 * @param {Record<string, any> | undefined} where
 * @param {boolean | undefined} atRound
 * @returns {any[]}
 */
export function chosenRows(plot, data, view, table, where, atRound) {
  const made = picksOf(plot, data, view);
  const filters = (plot.choices || []).filter(({ column }) => column).map(({ column, name }) => [column, made[name]]);
  const shown = new Set(view.lanes);
  let rows = rowsIn(data, table).filter((row) => !known(row.lane) || shown.has(row.lane));
  if (atRound) {
    const last = new Map();
    for (const { lane, round } of rows)
      if (known(round) && (view.round === null || round <= view.round))
        last.set(lane, Math.max(round, last.get(lane) ?? round));
    rows = rows.filter(({ lane, round }) => !known(round) || last.get(lane) === round);
  }
  const held = Object.entries(where || {});
  return rows.filter(
    (row) =>
      held.every(([name, value]) => row[name] === value) &&
      filters.every(([name, value]) => !(name in row) || row[name] === value),
  );
}

/** Whether an optional chart or number has no values in this run. */
function missing(declared, column, data) {
  if (!declared.optional) return false;
  const names = isChosen(column) ? Object.values(column.of || {}) : [column];
  return !rowsIn(data, declared.table).some((row) => names.some((name) => known(row[name])));
}

/**
 * The small charts of a plot, in order: `{ chart, series, lines, facet, lanes }` each.
 * @param {Plot} plot
 * @param {Tables} data
 * @param {Looked} view
 * @returns {Cell[]}
 */
export function cellsOf(plot, data, view) {
  const made = picksOf(plot, data, view);
  return plot.charts
    .filter((chart) => !missing(chart, chart.y, data))
    .flatMap((chart) => cellsOfChart(resolved(chart, made), plot, data, view));
}

/**
 * Whether each lane has a small chart of its own.
 * @param {any} chart
 * @returns {boolean}
 */
export const isSplit = (chart) => Boolean(chart.by) || chart.kind === "heat" || chart.facet === "lane";

function cellsOfChart(chart, plot, data, view) {
  const all = rowsIn(data, chart.table),
    rows = chosenRows(plot, data, view, chart.table, chart.where, chart.at_round).filter((row) => known(row[chart.x])),
    own = new Set(all.map(({ lane }) => lane));
  const shown = view.lanes.filter((lane) => data.lanes.includes(lane) && (chart.facet === "lane" || own.has(lane)));
  const facets = chart.facet && chart.facet !== "lane" ? distinct(all, chart.facet) : [null];
  const wanted = facets.includes(view.facet) ? [view.facet] : facets;
  const groups = isSplit(chart) ? shown.map((lane) => [lane]) : [shown],
    lines = linesOf(chart, plot, data, view);
  return wanted.flatMap((facet) =>
    groups.map((lanes) => {
      const cell = facet === null ? rows : rows.filter((row) => row[chart.facet] === facet);
      return { chart, series: seriesOf(chart, cell, lanes, data, view), lines, facet, lanes };
    }),
  );
}

/** References first, then families of lanes, then lane by lane. */
function seriesOf(chart, rows, lanes, data, view) {
  if (!chart.y) return [];
  const found = [];
  for (const reference of chart.references || []) {
    const own = rows.filter((row) => row.reference === reference.name && known(row[chart.y]));
    if (own.length) found.push({ rows: own, y: chart.y, reference });
  }
  if (chart.through) found.push(...familiesOf(chart, rows, lanes, data, view));
  const values = chart.by ? distinct(rowsIn(data, chart.table), chart.by) : [null];
  for (const lane of lanes)
    for (const by of values)
      for (const y of [chart.y, chart.y_also].filter(Boolean)) {
        const own = rows.filter(
          (row) =>
            row.lane === lane &&
            known(row[y]) &&
            (!chart.by || row[chart.by] === by) &&
            (chart.kind !== "path" || row.round > 0),
        );
        if (!own.length) continue;
        if (chart.kind === "line" && own.every((row) => typeof row[chart.x] === "number"))
          own.sort((a, b) => a[chart.x] - b[chart.x]);
        found.push({ rows: own, y, lane, by, also: y !== chart.y });
      }
  return found;
}

/** Lanes that differ in one number only, each at the selected round. */
function familiesOf(chart, rows, lanes, data, view) {
  const members = rowsIn(data, chart.through);
  return distinct(members, "family").flatMap((family) => {
    const points = members
      .filter((member) => member.family === family && lanes.includes(member.lane))
      .flatMap(({ lane, value }) => {
        const last = rows
          .filter(
            (row) =>
              row.lane === lane && row.round > 0 && known(row[chart.y]) && row.round <= (view.round ?? row.round),
          )
          .at(-1);
        return last ? [{ ...last, value }] : [];
      });
    return points.length > 1 ? [{ rows: points, y: chart.y, family }] : [];
  });
}

/** The reference lines of a chart: each value once, or once per lane. */
function linesOf(chart, plot, data, view) {
  const made = picksOf(plot, data, view);
  const found = known(chart.line)
    ? [{ rule: { axis: "y", dash: "dot" }, value: chart.line, label: chart.line_label }]
    : [];
  for (const declared of chart.rules || []) {
    const rule = resolved(declared, made);
    if (known(rule.value)) {
      found.push({ rule, value: rule.value, label: rule.label });
      continue;
    }
    const rows = chosenRows(plot, data, view, rule.table, rule.where, rule.by_lane).slice(
      0,
      rule.first ? 1 : undefined,
    );
    const told = new Set();
    for (const row of rows) {
      const lane = rule.by_lane ? row.lane : null,
        value = row[rule.column];
      if (!known(value) || told.has(`${value} ${lane}`)) continue;
      told.add(`${value} ${lane}`);
      found.push({ rule, value, lane, label: rule.label.replace("{}", precise(value, rule.unit)) });
    }
  }
  return found;
}

/**
 * The numbers above a plot: `{ title, unit, values: [[lane, value, said, of]], wears }` each.
 * @param {Plot} plot
 * @param {Tables} data
 * @param {Looked} view
 * @returns {BigNumber[]}
 */
export function numbersOf(plot, data, view) {
  const made = picksOf(plot, data, view),
    found = /** @type {BigNumber[]} */ ([]);
  for (const declared of plot.figures || []) {
    if (missing(declared, declared.column, data)) continue;
    const figure = resolved(declared, made),
      { table, of, fill } = figure;
    const column = columnOf(data, table, figure.column || Object.values(declared.column.of || {})[0]);
    const rows = new Map();
    for (const row of chosenRows(plot, data, view, table, {}, true))
      if (known(row.lane) && !rows.has(row.lane)) rows.set(row.lane, row);
    const lanes = view.lanes.filter((lane) => data.lanes.includes(lane));
    const values = lanes.map((lane) => [lane, rows.get(lane)?.[figure.column], of && rows.get(lane)?.[of]]);
    const filling = fill ? [...new Set([...rows.values()].map((row) => row[fill]))] : [];
    if (fill && values.every(([, value]) => !known(value))) continue;
    const one = figure.once && filling.length < 2 && new Set(values.map(([, value]) => value)).size === 1;
    const filled = filling.length === 1 ? filling[0] : `each lane’s ${columnOf(data, table, fill).title}`;
    found.push({
      title: (figure.title || column.title).replace("{}", filled),
      unit: column.unit,
      values: (one ? [[null, values[0][1]]] : values).map(([lane, value, total]) => [
        lane,
        value ?? null,
        said(value, column.unit),
        total ?? null,
      ]),
      wears: figure.wears || column.note,
    });
  }
  return found;
}

/**
 * The table of a plot, as rows to read: for plots of one round the drawn rows, otherwise all rounds.
 * @param {Plot} plot
 * @param {Tables} data
 * @param {Looked} view
 * @returns {Rows}
 */
export function tableOf(plot, data, view) {
  const { table, at_round: atRound } = plot.charts[0];
  const shown = new Set(view.lanes);
  const rows = atRound
    ? chosenRows(plot, data, view, table, {}, true)
    : rowsIn(data, table).filter((row) => !known(row.lane) || shown.has(row.lane));
  const declared = (data.columns?.[table] || []).map(({ name }) => name),
    extra = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const columns = [...new Set([...declared, ...extra])].filter((name) => name !== "reference");
  const cell = (row, name) => (name === "lane" ? (row.lane ?? row.reference) : row[name]) ?? null;
  return { columns, rows: rows.map((row) => columns.map((name) => cell(row, name))) };
}
