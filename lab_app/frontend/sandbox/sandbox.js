// The guard sandbox. Every answer contains the guard's curve, so the dial updates all shares at once; the predicted
// score follows shortly after the dial stops. The sandbox shows the selected round or, while the run is not running,
// the next round, which the worker computes first.
import { drawn } from "../charts/draw.js";
import { SMALL } from "../charts/frame.js";
import * as plotly from "../charts/plotly.js";
import { css, h } from "../shared/dom.js";
import { colour, slotOf } from "../shared/lanes.js";
import { listen, run, view } from "../shared/state.js";
import { blocksAt, factTable, oneDecimal, scoreRows, square, valueAt } from "./findings.js";

/**
 * The sandbox.
 * @param {Context} context - `guards`: those to try; `value`: the latest answer; `added`: the result of adding a lane.
 */
export function sandbox({ element, props, watch, trigger }) {
  const REST = 180; // milliseconds without a move before a request
  const find = (selector) => element.querySelector(selector);
  const section = find(".sandbox"),
    card = find(".card"),
    open = find("[data-do=open]"),
    lane = find("select.lane"),
    guard = find("select.guard"),
    dial = find(".dial"),
    range = find(".dial input"),
    output = find(".dial output"),
    from = find("select.from"),
    commit = find("[data-do=commit]"),
    added = find(".added"),
    note = find(".note"),
    which = { looked: find(".which .at"), next: find(".which .next") },
    work = find(".ahead"),
    stop = find("[data-do=stop]"),
    plot = find(".plot");
  const said = () => ({
    before: "before the round",
    given: found.pending ? "as the run will edit it" : "as it was edited",
    predicted: "with this guard",
  });
  const HELD = ["paused", "stopped", "failed"]; // states of a run that may still have a next round
  const turned = {}; // the last value of each guard's dial
  let number = 0, // of the latest question
    timer = 0,
    waiting = false,
    ahead = false, // whether the next round is shown
    computing = null, // the command that computes it
    found = null, // the latest answer
    asked = ""; // the subject of the latest question
  const offered = () => props.guards || [];
  const chosen = () => offered().find(({ name }) => name === guard.value);
  const edited = () => run.measured.some((at) => at > 0);
  const follows = () => HELD.includes(view.status ?? "") && run.rounds > 0;
  const round = () => (ahead ? "next" : Math.max(1, view.round ?? run.measured.at(-1) ?? 0));
  const setting = () => (chosen() ? { name: chosen().name, [chosen().field]: Number(range.value) } : null);

  guard.replaceChildren(
    ...[...offered(), { name: "", title: "no guard" }].map(({ name, title }) => h("option", { value: name }, title)),
  );

  function controls() {
    const names = run.lanes.filter((name) => !view.hidden.has(name)),
      now = names.includes(lane.value) ? lane.value : names[0];
    lane.replaceChildren(...names.map((name) => h("option", { value: name, selected: name === now }, name)));
    section.className = `sandbox slot-${slotOf(now)}`;
    if (!follows()) ahead = false;
    else if (!edited()) ahead = true;
    const at = round(),
      number = ahead ? "the next round" : `round ${at}`;
    which.looked.textContent = edited()
      ? `Round ${Math.max(1, view.round ?? run.measured.at(-1) ?? 1)} of ${run.rounds}`
      : "No round yet";
    which.looked.disabled = !edited();
    which.next.disabled = !follows();
    which.next.title = follows()
      ? "Computed exactly as the run will compute it, and not stored"
      : "Pause the run to look ahead";
    which.looked.setAttribute("aria-pressed", String(!ahead));
    which.next.setAttribute("aria-pressed", String(ahead));
    work.hidden = !ahead;
    commit.textContent = ahead ? "Add the lane and continue" : "Add the lane";
    const starts = [...(ahead || Number(at) > 1 ? [[at, `from ${number} on`]] : []), [0, "from the first round on"]];
    const kept = from.value === "0" ? "0" : String(at);
    from.replaceChildren(
      ...starts.map(([value, text]) => h("option", { value, selected: String(value) === kept }, text)),
    );
  }
  /** Whether the shown answer belongs to the chosen lane and round. */
  const shown = () =>
    found.lane === lane.value &&
    (ahead ? found.pending && asked === about() : found.round === round() && !found.pending);
  /** The progress of the round that is being computed, or that it is ready. */
  function working() {
    const { doing, part, command, about: of } = props.value || {};
    computing = ahead && waiting && doing !== undefined && of?.lane === lane.value ? command : null;
    const there = ahead && found && shown();
    work.querySelector("p").textContent = computing
      ? doing
      : there
        ? `Round ${found.round} of ${run.rounds} as the run will edit it when it continues. Nothing is stored.`
        : waiting
          ? "Waiting for the worker to compute the next round…"
          : "";
    stop.disabled = !computing;
    work.classList.toggle("computing", Boolean(computing));
    find(".findings").classList.toggle("of-another", found !== null && !shown());
    work.querySelector("i").style.width = `${100 * (computing ? (part ?? 0) : there ? 1 : 0)}%`;
  }
  function turn() {
    const own = chosen();
    dial.hidden = !own;
    if (!own) return;
    Object.assign(range, { min: own.low, max: own.high, step: own.field === "tau" ? 0.01 : 0.05 });
    range.value = turned[own.name] ?? own.start;
    range.setAttribute("aria-label", `${own.field} of ${own.title}`);
    dial.title = own.help;
    find(".symbol").textContent = own.symbol;
    output.textContent = Number(range.value).toFixed(2);
  }
  /** The subject of a question: a round that was edited again is another one. */
  const about = () => JSON.stringify([view.run, lane.value, round()]);
  function ask(wait = REST) {
    if (card.hidden || !view.run || !(edited() || ahead) || !lane.value) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      waiting = true;
      asked = about();
      section.dataset.waiting = "";
      trigger("ask", { number: ++number, lane: lane.value, round: round(), guard: setting() });
      working();
    }, wait);
  }

  /** The value of a curve of the latest answer at the dial's value. */
  const read = (values) => valueAt(found.curve.x, values, Number(range.value));
  const fits = () => found?.curve && found.guard?.name === guard.value && asked === about();

  function shares() {
    if (!found) return;
    const live = fits(),
      settled =
        !waiting && JSON.stringify(found.guard?.[chosen()?.field]) === JSON.stringify(setting()?.[chosen()?.field]);
    const removed = live ? read(found.curve.removed) : found.removed;
    find(".big b").textContent = oneDecimal(Math.max(0, removed));
    const guards = found.given.guards.map(({ name, tau }) => `${name}${tau ? ` τ = ${tau}` : ""}`).join(", ");
    find(".big .own").textContent = guards
      ? `its own guard (${guards}) ${found.pending ? "removes" : "removed"} ${oneDecimal(found.given.removed)}`
      : "this lane has no guard";
    const { blocks, ks, closed } = blocksAt(found, live ? Number(range.value) : null);
    find(".square").classList.toggle("unsure", !(closed || settled || !live));
    find(".square").replaceChildren(...square(blocks));
    const same = new Set(ks.map(([, k]) => k)).size === 1;
    find(".blocks .k").textContent =
      `k = ${same ? ks[0][1] : ks.map(([, k]) => k).join(", ")} in layers ${ks.map(([layer]) => layer).join(", ")}` +
      (found.guard?.tau === undefined ? `, at τ = ${found.tau}` : "");
    draw();
  }
  function predicted() {
    find(".predicted tbody").replaceChildren(...scoreRows(found, said()));
    find(".predicted .k").textContent =
      found.facts.length < found.of
        ? `${found.facts.length} of the round’s ${found.of} facts, one from each stretch`
        : `${found.of} ${found.of === 1 ? "fact" : "facts"}`;
    find(".each .scroll").replaceChildren(factTable(found, said()));
  }
  function draw() {
    plot.hidden = !found?.curve;
    if (!found?.curve || !plotly.ready() || card.hidden) return;
    const { x, removed } = found.curve,
      [own, lanes] = [chosen(), [lane.value]];
    const rows = x.map((at, i) => ({ lane: lane.value, x: at, removed: removed[i] })),
      data = { rows: { curve: rows }, columns: {}, lanes },
      box = { width: plot.clientWidth || 240, wide: false };
    const asked = { charts: [{ ...props.chart, x_title: own?.symbol }] },
      figure = drawn(asked, data, { lanes, round: null, picks: {}, facet: null }, box, { looks: SMALL });
    if (fits())
      figure.traces.push({
        type: "scatter",
        mode: "markers",
        x: [Number(range.value)],
        y: [read(removed)],
        hoverinfo: "skip",
        marker: { color: colour(lane.value), size: 10, line: { color: css("--card"), width: 2 } },
      });
    plotly.put(plot, figure, box, `${found.guard?.name} ${found.lane} ${found.round}`, { still: true });
  }
  function answered() {
    const value = props.value || {};
    if (value.doing !== undefined) return working(); // also for an earlier question: the same round is computed
    if (value.number !== number) return; // an answer to an earlier question
    waiting = false;
    delete section.dataset.waiting;
    note.textContent = value.message || "";
    find(".findings").hidden = find(".each").hidden = !value.scores && !found;
    if (value.late) ask(1000);
    if (value.scores) found = value;
    working();
    if (!value.scores) return;
    shares();
    predicted();
  }

  open.addEventListener("click", () => {
    card.hidden = !card.hidden;
    open.textContent = card.hidden ? "Open" : "Close";
    open.setAttribute("aria-expanded", String(!card.hidden));
    if (!card.hidden) {
      controls();
      turn();
      note.textContent = view.run && (edited() || ahead) ? "" : "Edit a round first.";
      ask(0);
    }
  });
  lane.addEventListener("change", () => {
    controls();
    ask(0);
  });
  guard.addEventListener("change", () => {
    turn();
    ask(0);
  });
  range.addEventListener("input", () => {
    turned[guard.value] = Number(range.value);
    output.textContent = Number(range.value).toFixed(2);
    added.textContent = "";
    section.dataset.waiting = "";
    shares();
    ask();
  });
  commit.addEventListener("click", () => {
    commit.disabled = true;
    added.textContent = "adding…";
    trigger("commit", {
      lane: lane.value,
      round: from.value === "next" ? "next" : Number(from.value),
      guard: setting(),
    });
  });
  for (const [name, button] of Object.entries(which))
    button.addEventListener("click", () => {
      ahead = name === "next";
      note.textContent = added.textContent = "";
      controls();
      ask(0);
    });
  stop.addEventListener("click", () => {
    trigger("stop", { command: computing });
    stop.disabled = true;
  });
  watch("value", answered);
  watch("added", () => {
    commit.disabled = false;
    const { message = "", lanes = [] } = props.added || {};
    added.textContent = message || `“${lanes.join("”, “")}” is computed next.`;
  });
  listen((change) => {
    if ("run" in change) {
      found = null;
      find(".findings").hidden = find(".each").hidden = true;
      added.textContent = "";
      ahead = false;
    }
    if (card.hidden) return;
    const before = about();
    controls();
    if (found) draw(); // light or dark
    if (asked !== about() && ("round" in change || "run" in change || "rounds" in change || before !== about())) ask();
    else if (ahead && "rounds" in change) ask(); // there is another next round
    if ("status" in change) working();
  });
  new ResizeObserver(() => draw()).observe(plot);
  find(".findings").hidden = find(".each").hidden = true;
  turn();
}
