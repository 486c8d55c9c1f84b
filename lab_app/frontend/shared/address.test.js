import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { openPage } from "../testing.js";
import { beginAddress, get, sheet, show } from "./address.js";
import { h } from "./dom.js";
import { run, tell, view } from "./state.js";

beforeEach(() => {
  mock.timers.reset();
  Object.assign(run, { measured: [] });
});

test("the round that an address names waits until its run has come that far", () => {
  openPage("http://lab.test/?run=a&round=3");
  beginAddress();
  tell({ run: "a", round: null });
  run.measured = [0, 1, 2];
  tell({ rounds: true });
  assert.equal(view.round, null);
  run.measured = [0, 1, 2, 3, 4];
  tell({ rounds: true });
  assert.equal(view.round, 3);
});

test("the round goes into the address a moment after it was chosen, and out of it with another run", () => {
  openPage("http://lab.test/?run=a");
  mock.timers.enable({ apis: ["setTimeout"] });
  beginAddress();
  tell({ run: "a" });
  tell({ round: 2 });
  tell({ round: 4 });
  assert.equal(get("round"), null);
  mock.timers.tick(250);
  assert.equal(get("round"), "4");
  tell({ run: "b" });
  assert.equal(get("round"), null);
});

test("a sheet is open while the address names it", () => {
  openPage("http://lab.test/?run=a");
  const dialogs = [h("dialog"), h("dialog")],
    seen = [];
  document.body.append(...dialogs);
  sheet(["runs", "compare"], dialogs[0], (name) => seen.push(name));
  sheet(["export"], dialogs[1], (name) => seen.push(name));
  show("compare", { with: "a,b" });
  assert.deepEqual([get("view"), get("with"), dialogs[0].open], ["compare", "a,b", true]);
  show("export");
  assert.deepEqual([get("with"), dialogs[0].open, dialogs[1].open], [null, false, true]);
  assert.deepEqual(seen, ["compare", "export"]);
});

test("an address that names a sheet opens it at once", () => {
  openPage("http://lab.test/?view=learnt");
  const dialog = h("dialog");
  document.body.append(dialog);
  sheet(["learnt"], dialog, () => {});
  assert.ok(dialog.open);
});
