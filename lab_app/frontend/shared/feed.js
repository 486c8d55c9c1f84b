// Feeds: the growing rows of a run, as the parts of the page receive them.
import { tell, view } from "./state.js";

/**
 * All rows of a feed, each parsed once. A value holds the latest rows by number. If rows between them and the known
 * ones are missing (the page was suspended), or if the numbering restarts, all rows are requested again.
 * @returns {(value: { run?: string, feed?: string, rows?: Record<string, string> } | null | undefined) => Row[]}
 */
export function reader() {
  let rows = /** @type {Row[]} */ ([]),
    from = "";
  return (value) => {
    const feed = `${value?.run} ${value?.feed}`,
      latest = Object.entries(value?.rows || {}).map(([number, row]) => ({ number: Number(number), row }));
    if (feed !== from) [rows, from] = [[], feed];
    latest.sort((a, b) => a.number - b.number);
    if (latest.length && latest[0].number > rows.length) tell({ missed: true });
    for (const { number, row } of latest) if (number === rows.length) rows.push(JSON.parse(row));
    return rows;
  };
}

/**
 * The rows of a feed by lane, in the order of their rounds.
 * @param {Row[]} rows
 * @returns {Model}
 */
export function byLane(rows) {
  /** @type {Model} */
  const model = { start: null, lanes: new Map() };
  for (const row of rows) {
    if (row.start) {
      model.start = row;
      for (const lane of row.lanes) model.lanes.set(lane, []);
      continue;
    }
    const known = model.lanes.get(row.lane);
    if (known) known.push(row);
    else model.lanes.set(row.lane, [row]);
  }
  return model;
}

/**
 * The row of a lane at a round: that round's, or the nearest earlier one.
 * @param {Row[]} rows - in the order of their rounds.
 * @param {number | null} round - null: the latest.
 * @returns {Row | null}
 */
export function rowAt(rows, round = view.round) {
  if (!rows.length) return null;
  if (round === null) return rows[rows.length - 1];
  let found = null;
  for (const row of rows) if (row.round <= round) found = row;
  return found;
}
