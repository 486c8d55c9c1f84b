import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { byLane, reader, rowAt } from "./feed.js";
import { listen, view } from "./state.js";

let missed = 0;
listen((change) => (missed += change.missed ? 1 : 0));
beforeEach(() => {
  missed = 0;
  view.round = null;
});

const packed = (...rows) => Object.fromEntries(rows.map(([number, row]) => [number, JSON.stringify(row)]));

test("rows arrive piece by piece and are kept in the order of their numbers", () => {
  const read = reader();
  assert.deepEqual(read({ run: "a", feed: "f", rows: packed([1, "b"], [0, "a"]) }), ["a", "b"]);
  assert.deepEqual(read({ run: "a", feed: "f", rows: packed([1, "other"], [2, "c"]) }), ["a", "b", "c"]);
  assert.equal(missed, 0);
});

test("more than nine rows are ordered by number, not by letter", () => {
  const rows = packed(...[...Array(12).keys()].map((number) => [number, number]));
  assert.deepEqual(reader()({ run: "a", feed: "f", rows }), [...Array(12).keys()]);
});

test("a gap is told, and what comes after it is not taken", () => {
  const read = reader();
  read({ run: "a", feed: "f", rows: packed([0, "a"]) });
  assert.deepEqual(read({ run: "a", feed: "f", rows: packed([3, "d"]) }), ["a"]);
  assert.equal(missed, 1);
});

test("another run or feed begins anew", () => {
  const read = reader();
  read({ run: "a", feed: "f", rows: packed([0, "a"]) });
  assert.deepEqual(read({ run: "b", feed: "f", rows: packed([0, "x"]) }), ["x"]);
  assert.deepEqual(read({ run: "b", feed: "g", rows: {} }), []);
});

test("nothing at all is no rows", () => {
  assert.deepEqual(reader()(null), []);
  assert.deepEqual(reader()(undefined), []);
});

test("rows by lane: those of the start come first, also without any round", () => {
  const start = { start: true, lanes: ["A", "B"] };
  const rows = [start, { lane: "B", round: 1 }, { lane: "C", round: 1 }, { lane: "B", round: 2 }];
  const model = byLane(rows);
  assert.equal(model.start, start);
  assert.deepEqual([...model.lanes.keys()], ["A", "B", "C"]);
  assert.deepEqual(
    model.lanes.get("B").map(({ round }) => round),
    [1, 2],
  );
});

test("a lane shows the round looked at, or the nearest before it", () => {
  const rows = [{ round: 0 }, { round: 2 }, { round: 5 }];
  assert.equal(rowAt([]), null);
  assert.equal(rowAt(rows), rows[2]);
  assert.deepEqual(
    [0, 1, 2, 4, 9].map((round) => rowAt(rows, round).round),
    [0, 0, 2, 2, 5],
  );
  assert.equal(rowAt(rows.slice(1), 1), null);
  view.round = 3;
  assert.equal(rowAt(rows), rows[1]);
});
