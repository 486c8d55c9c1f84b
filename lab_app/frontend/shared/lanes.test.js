import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { openPage } from "../testing.js";
import { colour, dash, keepColours, marker, shown, slotOf, slotsOf } from "./lanes.js";
import { run, view } from "./state.js";

beforeEach(() => {
  openPage();
  Object.assign(run, { lanes: [..."ABCDEFGH"], colours: null });
  view.hidden.clear();
});

test("lanes take the colours in turn, and the first ones again", () => {
  assert.deepEqual(slotsOf(8), [1, 2, 3, 4, 5, 6, 1, 2]);
  assert.equal(slotOf("H"), 2);
});

test("a chosen colour is worn, and the others take those that the fewest wear", () => {
  run.colours = [3, null, 1];
  assert.deepEqual(slotsOf(5), [3, 1, 1, 2, 4]);
});

test("lanes that come later change the colour of none", () => {
  run.colours = [2, 2];
  for (let count = 1; count < 8; count++) assert.deepEqual(slotsOf(count + 1).slice(0, count), slotsOf(count));
});

test("two lanes of one colour differ in mark and dash", () => {
  assert.equal(slotOf("A"), slotOf("G"));
  assert.notEqual(marker("A"), marker("G"));
  assert.notDeepEqual([marker("B"), dash("B")], [marker("H"), dash("H")]);
});

test("an unknown lane looks like the first", () => {
  assert.equal(slotOf("nobody"), 1);
  assert.equal(marker("nobody"), "circle");
});

test("colours are those of the style sheet, and chosen ones are kept in this browser", () => {
  document.body.style.setProperty("--lane-5", "#abc");
  keepColours("run", [5, 1]);
  assert.equal(colour("A"), "#abc");
  keepColours("another");
  assert.equal(slotOf("A"), 1);
  keepColours("run");
  assert.equal(slotOf("A"), 5);
});

test("hidden lanes are not shown", () => {
  view.hidden.add("B");
  assert.deepEqual(shown(), [..."ACDEFGH"]);
});
