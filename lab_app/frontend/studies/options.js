// The options of a study, as typed and as shown, and its rounds.

/**
 * A number of rounds, evenly spaced from the first to the last.
 * @param {number[]} rounds
 * @param {number} count
 * @returns {number[]} each once.
 */
export function evenly(rounds, count) {
  const last = rounds.length - 1;
  return [...new Set([...Array(count).keys()].map((i) => rounds[Math.round((i * last) / (count - 1))]))];
}

/**
 * The values that an option may have, in words.
 * @param {any} option - from the catalogue.
 * @returns {string}
 */
export function limitsOf({ name, symbol, kind, ge, gt, le, lt, optional }) {
  const low = ge !== undefined ? [ge, "≤"] : gt !== undefined ? [gt, "<"] : null,
    high = le !== undefined ? `≤ ${le}` : lt !== undefined ? `< ${lt}` : "";
  const limits =
    low && high ? `${low.join(" ")} ${symbol || name} ${high}` : low ? `${low[1] === "≤" ? "≥" : ">"} ${low[0]}` : high;
  return [kind === "layers" ? "numbers with commas" : limits, optional ? "may be empty" : ""]
    .filter(Boolean)
    .join("; ");
}

/**
 * A value as the form shows it.
 * @param {any} value
 * @returns {any}
 */
export const written = (value) => (Array.isArray(value) ? value.join(", ") : (value ?? ""));

/**
 * The typed value, converted to the option's kind. Invalid numbers are sent unchanged: the answer explains the problem.
 * @param {{ kind: string, optional?: boolean }} option
 * @param {string} text
 * @returns {any}
 */
export function valueOf({ kind, optional }, text) {
  if (kind === "bool") return text === "true";
  if (text === "" && (optional || kind !== "str")) return null;
  const number = (part) => (part.trim() !== "" && Number.isFinite(Number(part)) ? Number(part) : part);
  if (kind === "layers") return text.split(",").map(number);
  return kind === "str" ? text : number(text);
}

/**
 * The request of a study in words: its lanes, its rounds, and the options that differ from the defaults.
 * @param {any} study - a requested one.
 * @param {any} about - its entry in the catalogue; undefined if there is none.
 * @param {string[]} lanes - of the run.
 * @returns {string}
 */
export function askedWith(study, about, lanes) {
  const usual = Object.fromEntries((about?.options || []).map((one) => [one.name, one.default ?? null]));
  const own = Object.entries(study.options || {}).filter(
    ([name, value]) => JSON.stringify(value ?? null) !== JSON.stringify(usual[name] ?? null),
  );
  return [
    (study.lanes || lanes).join(", "),
    about?.rounds === "none" ? null : roundsSay(study.rounds),
    ...own.map(([name, value]) => `${name} ${written(value) === "" ? "automatic" : written(value)}`),
  ]
    .filter(Boolean)
    .join(" · ");
}

function roundsSay(rounds) {
  if (rounds === "all") return "all rounds";
  if (rounds === "last") return "the last round";
  return `round${rounds.includes(",") ? "s" : ""} ${rounds.replaceAll(",", ", ")}`;
}
