// The results of the sandbox: shares at the dial's value, the square of blocks, and the facts' scores.
import { h } from "../shared/dom.js";
import { percent } from "../shared/format.js";

const LEAST = 0.0005; // of ‖ΔW‖²: smaller shares count as zero
const INPUTS = [
    ["dominant", "first k inputs"],
    ["rest", "other inputs"],
  ],
  OUTPUTS = [
    ["dominant", "first k outputs"],
    ["rest", "other outputs"],
  ];

/**
 * A share in per cent with one decimal.
 * @param {number} share
 * @returns {string}
 */
export const oneDecimal = (share) => `${(100 * share).toFixed(1)} %`;

/**
 * A curve's value by linear interpolation; beyond its ends, the value of the end.
 * @param {number[]} x - ascending.
 * @param {number[]} values
 * @param {number} at
 * @returns {number}
 */
export function valueAt(x, values, at) {
  const after = x.findIndex((value) => value >= at - 1e-9);
  if (after <= 0) return values[after < 0 ? values.length - 1 : 0];
  const part = (at - x[after - 1]) / (x[after] - x[after - 1]);
  return values[after - 1] + part * (values[after] - values[after - 1]);
}

/**
 * The index of the nearest value.
 * @param {number[]} x
 * @param {number} at
 * @returns {number}
 */
export const nearest = (x, at) =>
  x.reduce((best, value, i) => (Math.abs(value - at) < Math.abs(x[best] - at) ? i : best), 0);

/**
 * The blocks of an update, and k of each layer: measured, or from the guard's curve at the dial's value.
 * @param {any} found - an answer.
 * @param {number | null} at - the dial's value if the curve is valid for it.
 * @returns {{ blocks: Record<string, { raw: number, left: number, chance: number }>, ks: [any, number][], closed: boolean }}
 *   `closed`: whether the guard's share is known without a new answer.
 */
export function blocksAt(found, at) {
  const curve = at === null ? null : found.curve,
    closed = curve?.blocks ?? null;
  const blocks = Object.fromEntries(
    Object.entries(found.blocks).map(([name, row]) => {
      if (!closed) return [name, row];
      const raw = valueAt(curve.x, closed[name], at ?? 0);
      return [name, { raw, left: name === "rest → rest" ? raw : 0, chance: row.chance }];
    }),
  );
  const ks = closed
    ? Object.entries(curve.k).map(([layer, k]) => [layer, k[nearest(curve.x, at ?? 0)]])
    : found.layers.map(({ layer, k }) => [layer, k]);
  return { blocks, ks, closed: Boolean(closed) };
}

/**
 * The fate of a block, in words.
 * @param {number} raw - its share of ‖ΔW‖² before the guard.
 * @param {number} left - its share after the guard.
 * @returns {string}
 */
export function fate(raw, left) {
  if (Math.max(raw, left) < LEAST) return "empty";
  if (left < LEAST && raw > left) return "goes";
  return Math.abs(raw - left) < LEAST ? "stays" : `${oneDecimal(left)} stays`;
}

/**
 * The square: which inputs are mapped to which outputs, and what the guard removes.
 * @param {Record<string, { raw: number, left: number, chance: number }>} blocks
 * @returns {HTMLElement[]}
 */
export function square(blocks) {
  const block = ({ raw, left, chance }) =>
    h(
      "div",
      {
        class: left < LEAST && raw > left ? "block gone" : "block",
        style: `--share:${Math.sqrt(Math.min(1, raw)).toFixed(3)}`,
        title: `${oneDecimal(raw)} of ‖ΔW‖²; a random update would have ${oneDecimal(chance)} there`,
      },
      h("b", {}, oneDecimal(raw)),
      h("small", {}, fate(raw, left)),
    );
  return [
    h("span", {}),
    ...INPUTS.map(([, text]) => h("span", { class: "top" }, text)),
    ...OUTPUTS.flatMap(([go, text]) => [
      h("span", { class: "side" }, text),
      ...INPUTS.map(([come]) => block(blocks[`${come} → ${go}`])),
    ]),
  ];
}

/**
 * Rows of scores: the exact share of the round's facts, and their probabilities.
 * @param {any} found - an answer.
 * @param {Record<string, string>} said - the states of the model in words.
 * @returns {HTMLElement[]}
 */
export function scoreRows(found, said) {
  const bar = (share) =>
    h(
      "td",
      {},
      h("i", { style: `width:${(100 * Math.min(1, share ?? 0)).toFixed(1)}%` }),
      h("span", {}, percent(share)),
    );
  return Object.entries(said).map(([name, text]) =>
    h("tr", { class: name }, h("th", { scope: "row" }, text), bar(found.scores[name].exact), bar(found.scores[name].p)),
  );
}

/**
 * The facts one by one, sorted by their loss under the guard.
 * @param {any} found - an answer.
 * @param {Record<string, string>} said - the states of the model in words.
 * @returns {HTMLElement}
 */
export function factTable(found, said) {
  const lost = (row) => row.given[0] - row.predicted[0];
  const value = ([p, exact]) =>
    h("td", { class: exact ? "is-said" : "" }, `${(100 * p).toFixed(1)} ${exact ? "✓" : "·"}`);
  const head = ["fact", ...Object.values(said)].map((text) => h("th", { scope: "col" }, text));
  const line = (row) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", dir: "auto" }, `${row.prompt} → `, h("b", { dir: "auto" }, row.target)),
      value(row.before),
      value(row.given),
      value(row.predicted),
    );
  const rows = [...found.facts].sort((a, b) => lost(b) - lost(a)).map(line);
  return h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows));
}
