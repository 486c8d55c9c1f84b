import assert from "node:assert/strict";
import { test } from "node:test";
import { askedWith, evenly, limitsOf, valueOf, written } from "./options.js";

test("rounds are taken evenly, with both ends", () => {
  assert.deepEqual(evenly([0, 1, 2, 3, 4, 5, 6, 7, 8], 5), [0, 2, 4, 6, 8]);
  assert.deepEqual(evenly([0, 1, 2], 5), [0, 1, 2]);
  assert.equal(evenly([], 5).join(","), "");
});

test("limits are written as inequalities", () => {
  assert.equal(limitsOf({ name: "facts", ge: 1, le: 100 }), "1 ≤ facts ≤ 100");
  assert.equal(limitsOf({ name: "tau", symbol: "τ", gt: 0, lt: 1 }), "0 < τ < 1");
  assert.equal(limitsOf({ name: "n", ge: 0 }), "≥ 0");
  assert.equal(limitsOf({ name: "n", gt: 0, optional: true }), "> 0; may be empty");
  assert.equal(limitsOf({ name: "n", le: 0 }), "≤ 0");
  assert.equal(limitsOf({ name: "layers", kind: "layers", ge: 0 }), "numbers with commas");
  assert.equal(limitsOf({ name: "text" }), "");
});

test("what is typed becomes the option's kind", () => {
  assert.equal(valueOf({ kind: "int" }, "12"), 12);
  assert.equal(valueOf({ kind: "float" }, "1e-3"), 0.001);
  assert.equal(valueOf({ kind: "bool" }, "true"), true);
  assert.equal(valueOf({ kind: "bool" }, "false"), false);
  assert.deepEqual(valueOf({ kind: "layers" }, "1, 2,x"), [1, 2, "x"]);
  assert.equal(valueOf({ kind: "str" }, "12"), "12");
});

test("what is no number is sent as it is, and nothing as nothing", () => {
  assert.equal(valueOf({ kind: "int" }, "twelve"), "twelve");
  assert.equal(valueOf({ kind: "int" }, ""), null);
  assert.equal(valueOf({ kind: "str" }, ""), "");
  assert.equal(valueOf({ kind: "str", optional: true }, ""), null);
});

test("values are written as they are typed", () => {
  assert.equal(written([3, 4]), "3, 4");
  assert.equal(written(null), "");
  assert.equal(written(0), 0);
});

test("what a study was asked with leaves out what is usual", () => {
  const about = { rounds: "several", options: [{ name: "facts", default: 50 }, { name: "layers" }] };
  const study = { lanes: null, rounds: "1,3", options: { facts: 50, layers: [1, 2], seed: null } };
  assert.equal(askedWith(study, about, ["A", "B"]), "A, B · rounds 1, 3 · layers 1, 2");
  assert.equal(
    askedWith({ lanes: ["A"], rounds: "last", options: { facts: 9 } }, about, []),
    "A · the last round · facts 9",
  );
  assert.equal(askedWith({ rounds: "all" }, { rounds: "none" }, ["A"]), "A");
  assert.equal(askedWith({ rounds: "4", options: { x: "" } }, undefined, ["A"]), "A · round 4 · x automatic");
});
