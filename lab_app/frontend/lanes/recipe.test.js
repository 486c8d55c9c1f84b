import assert from "node:assert/strict";
import { test } from "node:test";
import { beginsSays, known, labelOf, ranks, recipeOf, tauSays } from "./recipe.js";

const CATALOGUE = {
  methods: [{ name: "memit", title: "MEMIT" }],
  guards: [
    { name: "revive", title: "REVIVE", tau: 0.1 },
    { name: "shrink", title: "Shrink", tau: null },
  ],
};
const lane = (change) => ({ method: "memit", guard: "revive", ...change });

test("a lane is called what the person says, else by its method and guards", () => {
  assert.equal(labelOf(lane(), CATALOGUE), "MEMIT + REVIVE");
  assert.equal(labelOf(lane({ guard: "" }), CATALOGUE), "MEMIT");
  assert.equal(
    labelOf(lane({ then: [{ name: "shrink" }, { name: "new" }] }), CATALOGUE),
    "MEMIT + REVIVE + Shrink + new",
  );
  assert.equal(labelOf(lane({ name: "mine" }), CATALOGUE), "mine");
  assert.equal(labelOf(lane(), undefined), "memit + revive");
  assert.equal(known(CATALOGUE, "priors", "full"), undefined);
});

test("name, colour and options that are empty make no other lane", () => {
  const same = [{ name: "a" }, { colour: 3 }, { tau: 0.1 }, { tau: "0.1" }, { prior: "full" }, { options: { a: "" } }];
  for (const change of same) assert.equal(recipeOf(lane(change), CATALOGUE), recipeOf(lane(), CATALOGUE));
});

test("anything that is edited otherwise does", () => {
  const other = [
    { tau: 0.2 },
    { guard: "shrink" },
    { method: "ridge" },
    { prior: "diagonal" },
    { wrapper: "x" },
    { options: { a: 1 } },
    { guard_options: { by: "count" } },
    { then: [{ name: "shrink" }] },
    { from: { lane: "A", round: 2 } },
    { without: [1] },
  ];
  const found = new Set([{}, ...other].map((change) => recipeOf(lane(change), CATALOGUE)));
  assert.equal(found.size, other.length + 1);
});

test("options in another order are the same", () => {
  const [one, two] = [
    { a: 1, b: 2 },
    { b: 2, a: 1 },
  ].map((options) => recipeOf(lane({ options }), CATALOGUE));
  assert.equal(one, two);
});

const CURVES = [
  { layer: 3, i: [1, 10, 20], share: [0.1, 0.5, 1] },
  { layer: 4, i: [1, 10, 20], share: [0.3, 0.6, 1] },
];

test("k is the first place where the share is reached, between points of the curve by straight lines", () => {
  assert.deepEqual(ranks(CURVES, 0.1, "energy"), [
    [3, 1],
    [4, 1],
  ]);
  assert.deepEqual(ranks(CURVES, 0.5, "energy"), [
    [3, 10],
    [4, 7],
  ]);
  assert.deepEqual(ranks(CURVES, 1, "energy"), [
    [3, 20],
    [4, 20],
  ]);
});

test("a share of the number is rounded as Python rounds", () => {
  assert.deepEqual(ranks(CURVES, 0.125, "count")[0], [3, 2]);
  assert.deepEqual(ranks(CURVES, 0.175, "count")[0], [3, 4]);
  assert.deepEqual(ranks(CURVES, 0.001, "count")[0], [3, 1]);
});

test("what τ protects is said with k where curves are known", () => {
  assert.equal(tauSays(lane({ tau: 0.5 }), CATALOGUE, CURVES), "protects k = 10, 7 directions in layers 3, 4");
  assert.equal(tauSays(lane({ tau: 1 }), CATALOGUE, CURVES), "protects k = 20 directions in layers 3, 4");
  assert.equal(tauSays(lane(), CATALOGUE, CURVES), "protects k = 1 directions in layers 3, 4");
  assert.match(tauSays(lane(), CATALOGUE, []), /share of the energy$/);
  assert.match(tauSays(lane({ guard_options: { by: "count" } }), CATALOGUE, []), /the strongest ones$/);
});

test("where a lane begins, and what it leaves out", () => {
  assert.equal(beginsSays(lane()), "");
  const branched = { from: { lane: "MEMIT", round: 3 }, without: [0, 6] };
  assert.equal(beginsSays(lane(branched)), "from round 3 of MEMIT, without facts 1, 7");
  assert.equal(beginsSays(lane({ without: [4] })), "without fact 5");
});
