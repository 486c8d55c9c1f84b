import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { openPage } from "../testing.js";
import { opened } from "./opened.js";
import { foldExperiment, form, listen, run, savedProbes, tell, view } from "./state.js";

const heard = [];
listen((change) => heard.push(change));
beforeEach(() => {
  openPage("http://lab.test/?run=old&round=2");
  heard.length = 0;
  Object.assign(view, { run: "", round: null });
  for (const name of Object.keys(form)) delete form[name];
});

test("a change is known to those who are told of it", () => {
  tell({ round: 3, layer: 5 });
  assert.deepEqual([view.round, view.layer], [3, 5]);
  assert.deepEqual(heard, [{ round: 3, layer: 5 }]);
});

test("prompts are kept by the form that is on the page, where there is one", () => {
  assert.deepEqual(savedProbes(["a"]), []);
  let kept = [];
  form.probes = (next) => (kept = next ?? kept);
  assert.deepEqual(savedProbes(["a", "b"]), ["a", "b"]);
  assert.deepEqual(savedProbes(), ["a", "b"]);
});

test("a run that was started here goes into the address with the colours of its cards", () => {
  form.colours = [4, 2];
  Object.assign(run, { lanes: ["A"], measured: [1], rounds: 5 });
  view.hidden.add("A");
  opened("new");
  assert.equal(new URL(location.href).searchParams.get("run"), "new");
  assert.deepEqual([view.run, view.hidden.size, run.rounds, run.lanes.length], ["new", 0, 0, 0]);
  assert.deepEqual(run.colours, [4, 2]);
});

test("a run that the address named keeps its own colours, and one that is shown already is left as it is", () => {
  form.colours = [4, 2];
  opened("old");
  assert.equal(run.colours, null);
  heard.length = 0;
  opened("old");
  opened("");
  assert.deepEqual(heard, []);
});

test("the experiment is folded by a class of the body", () => {
  foldExperiment(true);
  assert.ok(document.body.classList.contains("folded"));
  foldExperiment(false);
  assert.ok(!document.body.classList.contains("folded"));
});
