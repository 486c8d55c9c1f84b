// Rows of numbers as an HTML table and as CSV.
import { h } from "./dom.js";

const MOST = 1000; // maximum number of rows to show

/**
 * A table, with a note if there are more rows than are shown.
 * @param {string[]} columns
 * @param {any[][]} rows
 * @param {(column: string, value: any) => Attributes | null} link - the attributes of a cell that is a button.
 * @returns {HTMLElement[]}
 */
export function asTable(columns, rows, link = () => null) {
  /** @param {any} value */
  const cell = (value) =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : (value ?? "–");
  /** @param {any[]} row */
  const line = (row) =>
    row.map((value, i) => {
      const button = link(columns[i], value),
        text = String(cell(value));
      return h("td", { dir: "auto" }, button ? h("button", { type: "button", ...button }, text) : text);
    });
  const head = columns.map((name) => h("th", { scope: "col" }, name));
  const body = rows.slice(0, MOST).map((row) => h("tr", {}, line(row)));
  /** @type {HTMLElement[]} */
  const found = [h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body))];
  if (rows.length > MOST) {
    const counts = [MOST, rows.length].map((count) => count.toLocaleString("en"));
    found.push(
      h("p", { class: "wanted" }, `The first ${counts[0]} of ${counts[1]} rows. The CSV file has all of them.`),
    );
  }
  return found;
}

/**
 * Rows as CSV that a spreadsheet reads as values, not as formulas.
 * @param {string[]} columns
 * @param {any[][]} rows
 * @returns {string}
 */
export function asCsv(columns, rows) {
  /** @param {any} value */
  const quote = (value) => {
    let text = String(value ?? "");
    if (typeof value === "string" && /^[=+\-@\t]/.test(text)) text = `'${text}`;
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${[columns, ...rows].map((row) => row.map(quote).join(",")).join("\n")}\n`;
}
