import assert from "node:assert/strict";
import { test } from "node:test";
import { crossing } from "./ruler.js";
import { values } from "./sweep.js";

const way = (...points) => points.map(([x, y], i) => ({ x, y, round: i + 1, edits: 10 * (i + 1) }));

test("between two rounds a lane goes in a straight line", () => {
  assert.deepEqual(crossing(way([1, 0.5], [0.5, 1]), 0.75), { x: 0.75, y: 0.75, round: 1.5, edits: 15 });
});

test("of several crossings the last one counts", () => {
  assert.equal(crossing(way([0.9, 1], [0.7, 0.8], [0.7, 0.7], [0.8, 0.6]), 0.8).y, 0.6);
  assert.equal(crossing(way([0.9, 1], [0.7, 0.8], [0.7, 0.7]), 0.7).y, 0.7);
});

test("a level that was never reached has none", () => {
  assert.equal(crossing(way([0.5, 1], [0.4, 1]), 0.9), null);
  assert.equal(crossing([], 0.5), null);
});

test("a sweep holds both ends, by equal steps or by equal factors", () => {
  assert.deepEqual(values(1, 100, 3, true, true), [1, 10, 100]);
  assert.deepEqual(values(0.1, 0.3, 3, false, false), [0.1, 0.2, 0.3]);
  assert.deepEqual(values(5, 9, 1, false, true), [5]);
});

test("values that round to the same are asked once, and there are at most twelve", () => {
  assert.deepEqual(values(1, 3, 9, false, true), [1, 2, 3]);
  assert.equal(values(0, 1, 100, false, false).length, 12);
});

test("what cannot be swept gives nothing", () => {
  assert.deepEqual(values(0, 100, 3, true, false), []);
  assert.deepEqual(values(NaN, 1, 3, false, false), []);
  assert.deepEqual(values(0, 1, 0, false, false), []);
});
