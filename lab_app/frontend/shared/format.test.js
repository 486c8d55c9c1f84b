import assert from "node:assert/strict";
import { test } from "node:test";
import { percent, symbols, whole } from "./format.js";

test("shares in per cent", () => {
  const cases = [
    [0, "0 %"],
    [0.0004, "0 %"],
    [0.0006, "0.1 %"],
    [0.5, "50.0 %"],
    [0.123456, "12.3 %"],
    [0.995, "99.5 %"],
    [0.996, "100 %"],
    [1, "100 %"],
    [null, "–"],
    [undefined, "–"],
  ];
  for (const [share, text] of cases) assert.equal(percent(share), text);
});

test("whole per cent, without the sign", () => {
  assert.deepEqual([0.004, 0.006, 0.5, 1].map(whole), ["0", "1", "50", "100"]);
  assert.equal(whole(null), "–");
});

test("indices stand below their symbols, and nothing else does", () => {
  assert.equal(symbols("‖W_t − W_0‖ and h_{t−1}"), "‖Wₜ − W₀‖ and hₜ₋₁");
  assert.equal(symbols("R_k above 1"), "Rₖ above 1");
  assert.equal(symbols("unedited_recall, k_top, W_10"), "unedited_recall, k_top, W_10");
});
