import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { openPage } from "../testing.js";
import { leaving } from "./film.js";

beforeEach(() => openPage());
const parts = (...given) => [leaving(...given)].flat().map((part) => part.outerHTML ?? part);

test("what is as before is not marked", () => {
  assert.deepEqual(parts("Paris. It is", "Paris. It is"), ["Paris. It is"]);
  assert.deepEqual(parts("Paris", undefined), ["Paris"]);
  assert.deepEqual(parts(undefined, "Paris"), [""]);
});

test("from the first other word on it is marked", () => {
  assert.deepEqual(parts("Paris. It was", "Paris. It is"), ["Paris. It ", "<mark>was</mark>"]);
  assert.deepEqual(parts("Rome", "Paris"), ["", "<mark>Rome</mark>"]);
});

test("nothing said, or less than before, is told", () => {
  assert.deepEqual(parts("", ""), ["(nothing)"]);
  assert.deepEqual(parts("Paris ", "Paris is"), ["Paris ", "<mark>(nothing)</mark>"]);
});
