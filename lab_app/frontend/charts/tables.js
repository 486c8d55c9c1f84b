// The tables that plots draw: rows unpacked from the compact form in which they are sent.

/** Rows of blocks by table, each row with the values of `common`. A block's lists are columns; its other values are
 * constant. */
function unpack(blocks, common, into) {
  for (const { table, ...columns } of blocks) {
    const lists = Object.entries(columns).filter(([, values]) => Array.isArray(values)),
      scalars = { ...common, ...columns };
    const rows = (into[table] ??= []);
    for (let i = 0; i < (lists.length ? lists[0][1].length : 1); i++) {
      const row = { ...scalars };
      for (const [name, values] of lists) row[name] = values[i];
      rows.push(row);
    }
  }
}

/**
 * Reads the growing rows of a feed into the tables of a panel: `{ rows, columns, lanes, start }`. `declared` are
 * the columns of each table. Rows are read only once.
 * @param {Record<string, Column[]>} declared - the columns of each table.
 * @returns {(rows: any[]) => Tables} the tables of all rows so far; each row is read once.
 */
export function gatherer(declared) {
  let from = null,
    taken = 0,
    data;
  function take(row) {
    if (row.start) {
      data.start = row;
      data.lanes = [...row.lanes];
      for (const [table, own] of Object.entries(row.columns || {}))
        data.columns[table] = [...(declared[table] || []), ...own];
    } else if (!data.lanes.includes(row.lane)) data.lanes.push(row.lane);
    unpack(row.blocks || [], row.start ? {} : { lane: row.lane, round: row.round }, data.rows);
  }
  return (rows) => {
    if (rows !== from || rows.length < taken)
      [from, taken, data] = [rows, 0, { rows: {}, columns: { ...declared }, lanes: [], start: null }];
    for (; taken < rows.length; taken++) take(rows[taken]);
    return data;
  };
}

/**
 * The same data with more blocks, such as requested maps.
 * @param {Tables} data
 * @param {any[]} blocks
 * @returns {Tables}
 */
export function withBlocks(data, blocks) {
  const rows = Object.fromEntries(Object.entries(data.rows).map(([table, own]) => [table, [...own]]));
  for (const { lane, round, ...block } of blocks) unpack([block], { lane, round }, rows);
  return { ...data, rows };
}

/**
 * The rows of a table that is sent as columns; some columns are words with indices into them.
 * @param {{ columns: string[], values: any[] }} table
 * @returns {any[]}
 */
export function rowsOf({ columns, values }) {
  const lists = values.map((list) =>
    Array.isArray(list) ? list : list.at.map((place) => (place === null ? null : list.words[place])),
  );
  return (lists[0] || []).map((_, i) => Object.fromEntries(columns.map((name, j) => [name, lists[j][i]])));
}
