// What the page's renderer makes of plots, without a page: `node draw.mjs FRONTEND < asked.json` prints the traces, numbers,
// shapes and tables of each case, as test_renderer.py asks for them.
import { readFileSync } from "node:fs";

const body = { classList: { contains: () => false } };
globalThis.document = { body, createElement: () => ({}), querySelectorAll: () => [], addEventListener() {} };
globalThis.getComputedStyle = () => ({ getPropertyValue: () => "#112233" });
globalThis.localStorage = { getItem: () => null };
globalThis.window = {};
const front = process.argv[2];
const { drawn } = await import(`${front}/charts/draw.js`);
const { STUDY } = await import(`${front}/charts/frame.js`);
const { numbersOf, tableOf } = await import(`${front}/charts/select.js`);
const { gatherer } = await import(`${front}/charts/tables.js`);
const { precise, said, UNITS } = await import(`${front}/charts/units.js`);
const { run } = await import(`${front}/shared/state.js`);

const asked = JSON.parse(readFileSync(0));
run.lanes = asked.lanes;
const cases = asked.cases.map(({ plot, columns, rows, data, picks, round }) => {
  const tables = data || gatherer(columns)(rows),
    view = { lanes: asked.lanes, round, picks, facet: null };
  const { traces, layout } = drawn(plot, tables, view, { width: 640, wide: false }, data ? { looks: STUDY } : {});
  return {
    traces: traces.map(({ type, fill, lane, name, column, unit, x, y, z, customdata, yaxis }) => ({
      ...{ type, fill: fill ?? null, lane: lane ?? null, name: name ?? null, column: column ?? null, unit: unit ?? null },
      ...{ x, y: customdata || y, z, axis: layout[(yaxis || "y").replace("y", "yaxis")] },
    })),
    numbers: numbersOf(plot, tables, view).map(({ title, unit, values }) => ({
      name: title,
      unit: UNITS[unit][0],
      values: values.map(([lane, , text]) => [lane === null ? "" : `${lane}: `, text]),
    })),
    shapes: layout.shapes.map(({ type, x0, x1, y0, y1 }) => ({ type, x0, x1, y0, y1 })),
    table: tableOf(plot, tables, view),
  };
});
const numbers = (asked.values || []).map(([value, unit]) => [said(value, unit), precise(value, unit)]);
console.log(JSON.stringify({ cases, numbers, units: UNITS }));
