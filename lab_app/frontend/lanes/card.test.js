import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { openPage } from "../testing.js";
import { laneCard } from "./card.js";

const CATALOGUE = {
  methods: [
    { name: "memit", title: "MEMIT", fields: [{ name: "charge", symbol: "λ", default: 0.5 }], refuses: {} },
    {
      name: "found",
      title: "Found",
      fields: [{ name: "k", default: 1 }],
      refuses: { guards: { revive: "no weights", shrink: "no weights" }, wrappers: { mean: "no updates" } },
    },
  ],
  guards: [
    {
      name: "revive",
      title: "REVIVE",
      tau: 0.1,
      fields: [{ name: "by", choices: ["energy", "count"], default: "energy" }],
    },
    { name: "shrink", title: "Shrink", tau: null, fields: [{ name: "factor", default: null }] },
  ],
  priors: [{ name: "full", title: "full C₀", fields: [] }],
  wrappers: [{ name: "mean", title: "Mean", fields: [{ name: "share", default: 0.2 }] }],
};
let lanes = [],
  painted = 0;
const form = {
  lanes: () => lanes,
  change: (index, change) => (lanes = lanes.with(index, { ...lanes[index], ...change })),
  paint: () => painted++,
  colour: () => 3,
  remove: null,
};
const drawn = (props = {}, at = {}) => laneCard(() => ({ catalogue: CATALOGUE, ...props }), { ...form, ...at });
const labels = (card) => [...card.querySelectorAll(".fields label > span")].map((name) => name.textContent);

beforeEach(() => {
  openPage();
  lanes = [{ method: "memit", guard: "revive", then: [{ name: "shrink" }], wrapper: "mean", options: { charge: 2 } }];
  painted = 0;
});

test("a card has a field for each parameter of the lane, in the order of what acts", () => {
  const card = drawn().card(lanes[0], 0);
  assert.deepEqual(labels(card), ["name", "by", "factor", "then guard", "λ charge", "statistics", "wrapper", "share"]);
  assert.doesNotMatch(card.textContent, /\[object/);
});

test("what is typed goes into the part of the lane that it belongs to", () => {
  const card = drawn().card(lanes[0], 0);
  const type = (name, text) => {
    const input = card.querySelector(`.fields input[aria-label="${name}"]`);
    input.value = text;
    input.dispatchEvent(new Event("input"));
  };
  type("charge", " 3 ");
  type("factor", "0.5");
  type("share", "0.1");
  assert.deepEqual(lanes[0].options, { charge: "3" });
  assert.deepEqual(lanes[0].then, [{ name: "shrink", factor: "0.5" }]);
  assert.deepEqual(lanes[0].wrapper_options, { share: "0.1" });
  type("charge", "");
  assert.deepEqual(lanes[0].options, {});
});

test("a guard that cannot act before something is said opens the settings", () => {
  const choose = (guard) => {
    const select = drawn().card(lanes[0], 0).querySelector('[aria-label="Guard of lane 1"]');
    select.value = guard;
    select.dispatchEvent(new Event("change"));
    return lanes[0];
  };
  assert.deepEqual([choose("shrink").open, lanes[0].tau], [true, null]);
  assert.deepEqual([choose("revive").open, lanes[0].tau], [false, 0.1]);
  assert.equal(painted, 2);
});

test("defaults are those that hold, and are said anew without what was typed being lost", () => {
  let settled = { options: { charge: ["0.7", "of the model"] }, idle: { by: "it has no guard" } };
  const { card, settle } = drawn({}, { settled: () => settled });
  const made = card(lanes[0], 0),
    charge = made.querySelector('input[aria-label="charge"]');
  assert.deepEqual([charge.placeholder, charge.value], ["0.7", "2"]);
  assert.match(made.querySelector(".fields .idle").title, /No effect here: it has no guard/);
  settled = { options: { charge: ["0.9", ""] }, idle: {} };
  settle(made);
  assert.deepEqual([charge.placeholder, charge.value, made.querySelector(".idle")], ["0.9", "2", null]);
});

test("what is wrong and what is to be known stands on the card", () => {
  const items = [
    { lane: 0, message: "<b>no</b>" },
    { lane: 1, message: "other" },
  ];
  const card = drawn({ problems: { items } }, { beware: () => "slow" }).card(lanes[0], 0);
  assert.equal(card.querySelector(".problem").textContent, "<b>no</b>");
  assert.equal(card.querySelector(".beware").textContent, "slow");
  assert.ok(card.querySelector(".remove").hidden);
});

test("what does not go with a method is offered with the reason, and taken off when the method is chosen", () => {
  const select = drawn().card(lanes[0], 0).querySelector('[aria-label="Method of lane 1"]');
  select.value = "found";
  select.dispatchEvent(new Event("change"));
  assert.deepEqual([lanes[0].guard, lanes[0].then, lanes[0].wrapper, lanes[0].options], ["", undefined, "", {}]);
  const card = drawn().card(lanes[0], 0);
  const options = (name) => [...card.querySelector(`[aria-label="${name} of lane 1"]`).options];
  assert.deepEqual(
    options("Guard").map(({ value, disabled, title }) => [value, disabled, title]),
    [
      ["", false, ""],
      ["revive", true, "no weights"],
      ["shrink", true, "no weights"],
    ],
  );
  assert.deepEqual([options("wrapper")[1].disabled, options("wrapper")[1].title], [true, "no updates"]);
  assert.ok(options("Method").every(({ disabled }) => !disabled));
});
