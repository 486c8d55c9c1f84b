import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { openPage } from "../testing.js";
import { asCsv, asTable } from "./table.js";

beforeEach(() => openPage());
const texts = (table) => [...table.querySelectorAll("td")].map((cell) => cell.textContent);

test("CSV quotes what needs it", () => {
  const rows = [["a,b", 'say "so"', "two\nlines", 1.5, null]];
  assert.equal(asCsv(["x", "y", "z", "n", "none"], rows), 'x,y,z,n,none\n"a,b","say ""so""","two\nlines",1.5,\n');
});

test("a spreadsheet reads no cell as a formula, and numbers stay numbers", () => {
  assert.equal(asCsv(["a"], [["=1+1"], ["+x"], ["-x"], ["@x"], [-1.5]]), "a\n'=1+1\n'+x\n'-x\n'@x\n-1.5\n");
});

test("a table shows four digits and a dash for nothing", () => {
  const [table] = asTable(
    ["lane", "x"],
    [
      ["<b>", 0.123456],
      ["B", null],
      [3, 1e-7],
    ],
  );
  assert.deepEqual(texts(table), ["<b>", "0.1235", "B", "–", "3", "1e-7"]);
});

test("a long table says how much of it is shown", () => {
  const found = asTable(
    ["i"],
    [...Array(1500).keys()].map((i) => [i]),
  );
  assert.equal(texts(found[0]).length, 1000);
  assert.match(found[1].textContent, /first 1,000 of 1,500 rows/);
});

test("a cell can be a button", () => {
  const [table] = asTable(["fact", "x"], [[7, 1]], (column, value) =>
    column === "fact" ? { "data-fact": value } : null,
  );
  assert.equal(table.querySelector("button[data-fact='7']").textContent, "7");
  assert.equal(table.querySelectorAll("button").length, 1);
});
