// Numbers in their units, formatted as in `core/charts/table.py`.

/** By unit: its sign, and the factor from a stored number to the shown one. */
export const UNITS = {
  "": ["", 1],
  count: ["", 1],
  cosine: ["", 1],
  correlation: ["", 1],
  share: ["%", 100],
  percent: ["%", 1],
  seconds: ["s", 1],
  degrees: ["°", 1],
  nats: ["nats", 1],
  index: ["", 1],
  text: ["", 1],
};

/**
 * @param {unknown} value
 * @returns {boolean}
 */
export const known = (value) => value !== null && value !== undefined;

/**
 * A number as shown above a plot, without the sign of its unit.
 * @param {any} value
 * @param {string} unit - a key of `UNITS`.
 * @returns {string}
 */
export function said(value, unit = "") {
  if (!known(value)) return "–";
  if (typeof value === "string") return value;
  const number = value * UNITS[unit][1];
  if (unit === "count") return Math.floor(number + 0.5).toLocaleString("en");
  if (unit === "index") return String(Math.floor(number + 0.5));
  if (unit === "share" || unit === "percent") return String(Math.floor(number + 0.5));
  if (Math.abs(number) < 1e-6) return "0";
  return Math.abs(number) < 0.005 ? String(Number(number.toPrecision(1))) : number.toFixed(2);
}

/**
 * A number with its unit, for a label or a sentence.
 * @param {any} value
 * @param {string} unit - a key of `UNITS`.
 * @returns {string}
 */
export function precise(value, unit = "") {
  if (typeof value !== "number") return said(value, unit);
  const [sign, factor] = UNITS[unit];
  const digits = value > 0.995 || value < 0.0005 ? 0 : 1;
  const text = unit === "share" ? (value * factor).toFixed(digits) : String(Number((value * factor).toPrecision(4)));
  return `${text} ${sign}`.trim();
}

/**
 * A number or a word in a hover text.
 * @param {any} value
 * @param {string} unit - a key of `UNITS`.
 * @returns {string}
 */
export function short(value, unit = "") {
  if (typeof value !== "number") return known(value) ? String(value) : "–";
  if (unit === "share") return precise(value, unit);
  if (Number.isInteger(value)) return unit === "index" ? String(value) : value.toLocaleString("en");
  return `${Number(value.toPrecision(3))} ${UNITS[unit][0]}`.trim();
}
