import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { openPage } from "../testing.js";
import { blocksAt, factTable, fate, nearest, scoreRows, square, valueAt } from "./findings.js";

beforeEach(() => openPage());

test("a curve is read between its points, and at its ends beyond them", () => {
  const read = (at) => valueAt([0.1, 0.2, 0.4], [1, 3, 7], at);
  assert.deepEqual([0, 0.1, 0.2, 0.3, 0.4, 9].map(read), [1, 1, 3, 5, 7, 7]);
  assert.ok(Math.abs(read(0.15) - 2) < 1e-12);
});

test("the nearest point", () => {
  assert.deepEqual(
    [0, 0.14, 0.16, 1].map((at) => nearest([0.1, 0.2, 0.4], at)),
    [0, 0, 1, 2],
  );
});

const ANSWER = {
  blocks: {
    "dominant → dominant": { raw: 0.5, left: 0.1, chance: 0.01 },
    "rest → rest": { raw: 0.5, left: 0.5, chance: 0.9 },
  },
  layers: [{ layer: 3, k: 7 }],
  curve: {
    x: [0.1, 0.3],
    blocks: { "dominant → dominant": [0.2, 0.6], "rest → rest": [0.8, 0.4] },
    k: { 3: [5, 9] },
  },
};

test("blocks are as they were measured where the curve does not hold", () => {
  assert.deepEqual(blocksAt(ANSWER, null), { blocks: ANSWER.blocks, ks: [[3, 7]], closed: false });
  assert.deepEqual(blocksAt({ ...ANSWER, curve: { x: [0, 1] } }, 0.5).closed, false);
});

test("on the curve all but the last block goes", () => {
  const { blocks, ks, closed } = blocksAt(ANSWER, 0.15);
  assert.ok(closed);
  assert.deepEqual(ks, [["3", 5]]);
  assert.ok(Math.abs(blocks["dominant → dominant"].raw - 0.3) < 1e-12);
  assert.equal(blocks["dominant → dominant"].left, 0);
  assert.equal(blocks["rest → rest"].left, blocks["rest → rest"].raw);
  assert.equal(blocks["rest → rest"].chance, 0.9);
});

test("what becomes of a block", () => {
  assert.equal(fate(0.0001, 0), "empty");
  assert.equal(fate(0.3, 0), "goes");
  assert.equal(fate(0.3, 0.3), "stays");
  assert.equal(fate(0.3, 0.123), "12.3 % stays");
});

test("the square has a block for each pair, in the order inputs by outputs", () => {
  const names = ["dominant → dominant", "rest → dominant", "dominant → rest", "rest → rest"];
  const blocks = Object.fromEntries(names.map((name, i) => [name, { raw: (i + 1) / 10, left: 0, chance: 0 }]));
  const made = square(blocks).filter((part) => part.className.startsWith("block"));
  assert.deepEqual(
    made.map((block) => block.querySelector("b").textContent),
    ["10.0 %", "20.0 %", "30.0 %", "40.0 %"],
  );
  assert.ok(made.every((block) => block.className === "block gone"));
});

const SAID = { before: "before", given: "edited", predicted: "guarded" };
const row = (prompt, given, predicted) => ({
  prompt,
  target: "<b>",
  before: [0, false],
  given: [given, true],
  predicted: [predicted, false],
});

test("facts that lose most by the guard come first, and their text stays text", () => {
  const table = factTable({ facts: [row("a", 0.9, 0.8), row("b", 0.9, 0.1)] }, SAID);
  const lines = [...table.querySelectorAll("tbody tr")].map((line) =>
    [...line.children].map((cell) => cell.textContent),
  );
  assert.deepEqual(lines, [
    ["b → <b>", "0.0 ·", "90.0 ✓", "10.0 ·"],
    ["a → <b>", "0.0 ·", "90.0 ✓", "80.0 ·"],
  ]);
});

test("scores are bars of their share", () => {
  const score = (exact, p) => ({ exact, p });
  const rows = scoreRows(
    { scores: { before: score(0, 0.1), given: score(1, 0.9), predicted: score(0.5, null) } },
    SAID,
  );
  assert.deepEqual(
    rows.map((made) => made.textContent),
    ["before0 %10.0 %", "edited100 %90.0 %", "guarded50.0 %–"],
  );
  assert.equal(rows[2].querySelector("i").getAttribute("style"), "width:50.0%");
});
