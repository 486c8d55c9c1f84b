import assert from "node:assert/strict";
import { test } from "node:test";
import { begun, clean, problems, same } from "./cells.js";

const row = (change) => ({
  subject: "France",
  prompt: "The capital of {} is",
  target: "Lyon",
  truth: "Paris",
  ...change,
});
const columns = (change) => problems(row(change)).map(([column]) => column);

test("a whole row has no problem", () => {
  assert.deepEqual(problems(row()), []);
  assert.deepEqual(problems(row({ prompt: "The capital of France is" })), []);
});

test("empty cells are told, the old answer alone may be empty", () => {
  assert.deepEqual(columns({ subject: " ", prompt: "", target: "\0" }), ["subject", "prompt", "target"]);
  assert.deepEqual(columns({ truth: "" }), []);
});

test("a target that is the old answer edits nothing", () => {
  assert.match(problems(row({ target: "Paris" }))[0][1], /nothing to edit/);
});

test("the subject stands once in the prompt", () => {
  assert.match(problems(row({ prompt: "{} and {} are" }))[0][1], /^2 slots/);
  assert.match(problems(row({ prompt: "The capital is" }))[0][1], /does not mention its subject "France"/);
  assert.match(problems(row({ prompt: "Francesca lives in" }))[0][1], /only inside a longer word/);
  assert.match(problems(row({ prompt: "France is to France as" }))[0][1], /2 times/);
});

test("a word ends where its script says so", () => {
  const mentions = (subject, prompt) => !problems(row({ subject, prompt })).length;
  assert.ok(mentions("日本", "日本の首都は"));
  assert.ok(mentions("12", "In 12, it was"));
  assert.ok(!mentions("12", "In 1.12, it was"));
  assert.ok(!mentions("テレ", "テレビは"));
  assert.ok(!mentions("👍", "👍🏽 means"));
  assert.ok(mentions("C", "C-3 means"));
});

test("length is counted in letters, not in units of UTF-16", () => {
  assert.deepEqual(columns({ target: "😀".repeat(2000) }), []);
  assert.deepEqual(columns({ target: "😀".repeat(2001) }), ["target"]);
});

test("cells are cleaned as the worker cleans them", () => {
  assert.equal(clean("  e\u0301\0 "), "é");
  assert.equal(clean(null), "");
  assert.ok(!begun({ prompt: "only a prompt" }));
  assert.ok(begun({ target: "x" }));
});

test("two rows that ask the same with other answers", () => {
  const rows = [row(), row(), row({ target: "Nice" }), row({ subject: "Spain" })];
  assert.deepEqual(
    rows.map((_, i) => same(rows, i)),
    [-1, -1, 0, -1],
  );
});
