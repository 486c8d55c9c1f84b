import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { openPage } from "../testing.js";
import { continuation } from "./words.js";

beforeEach(() => openPage());
const marked = (...given) => {
  const made = continuation(...given),
    mark = made.querySelector("mark");
  return [made.textContent, mark?.textContent ?? null, mark?.className ?? null];
};

test("the new answer is marked as new, the old one as old", () => {
  assert.deepEqual(marked(" Rome. It is", "Rome", "Paris"), ["Rome. It is", "Rome", "new"]);
  assert.deepEqual(marked("paris, of", "Rome", "Paris"), ["paris, of", "paris", "old"]);
});

test("an answer counts at the beginning alone", () => {
  assert.deepEqual(marked("not Rome", "Rome", "Paris"), ["not Rome", null, null]);
  assert.deepEqual(marked("Rome", "", undefined), ["Rome", null, null]);
});

test("nothing said is told", () => {
  assert.equal(marked("  ")[0], "(nothing)");
  assert.equal(marked(null)[0], "(nothing)");
});
