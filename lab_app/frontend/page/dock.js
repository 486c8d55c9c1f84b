// The dock: the state of the run, the remaining time, and the scrubber of rounds.
import { opened } from "../shared/opened.js";
import { openBranch } from "../lanes/branch.js";
import { h } from "../shared/dom.js";
import { reader } from "../shared/feed.js";
import { foldExperiment, listen, run, tell, view } from "../shared/state.js";

/**
 * The dock.
 * @param {Context} context - `value`: the run, its state, and the feed of its rounds.
 */
export function dock({ element, props, watch, trigger }) {
  const REST = 30000, // ms for which the page is hidden, after which it gets no updates
    SILENT = 20000, // ms without a message, after which a page that gets one every 10 s reports a lost connection
    LOST = "This page has lost its connection to the lab. Runs continue, and the page will reconnect by itself.";

  const read = reader();
  const find = (selector) => element.querySelector(selector);
  const range = find("input[type=range]"),
    label = find(".at"),
    live = find(".live"),
    bar = find(".bar i"),
    says = find(".says"),
    left = find(".left"),
    play = find(".play"),
    branch = find(".branch-off");
  const notices = find(".notices");
  const closed = new Set();
  let timer = 0,
    last = Date.now(),
    heard = Date.now(),
    lost = false,
    resting = false,
    aside = 0,
    patience = 30000;

  function take() {
    const value = props.value || {};
    last = heard = Date.now();
    lost = false;
    patience = 30000;
    if (value.run && value.run !== view.run) {
      // On a phone the run of the address comes first, not the form of the next one.
      if (matchMedia("(max-width: 780px)").matches && new URL(location.href).searchParams.get("run") === value.run)
        foldExperiment(true);
      opened(value.run);
    }
    const before = run.measured.length,
      rounds = new Set(),
      edits = /** @type {Record<number, number>} */ ({});
    for (const row of read(value)) {
      if (row.start)
        Object.assign(run, {
          lanes: row.lanes,
          layers: row.layers,
          rounds: row.rounds,
          facts: row.facts,
          model: row.model,
        });
      else {
        rounds.add(row.round);
        run.moved[row.lane] = row.moved || []; // the layers that a lane has edited so far, not all that it may edit
        edits[row.round] = Math.max(row.edits ?? 0, edits[row.round] ?? 0); // a lane may leave out facts
      }
    }
    run.measured = [...rounds].sort((a, b) => a - b);
    run.edits = edits;
    if (run.measured.length && (view.round ?? 0) > run.measured[run.measured.length - 1]) tell({ round: null }); // it was undone
    if (run.measured.length !== before) tell({ rounds: true });
    paint();
  }

  function paint() {
    const state = props.value?.state || {},
      rounds = run.measured;
    element.querySelector(".dock").dataset.status = state.status || "none";
    if (view.status !== state.status) tell({ status: state.status });
    range.max = Math.max(0, rounds.length - 1);
    range.disabled = rounds.length < 2;
    const round = view.round ?? rounds.at(-1) ?? 0;
    range.value = Math.max(
      0,
      rounds.findLastIndex((number) => number <= round),
    );
    range.style.setProperty("--done", `${run.rounds ? (100 * (rounds.at(-1) || 0)) / run.rounds : 100}%`);
    range.setAttribute("aria-valuetext", `round ${round} of ${run.rounds}`);
    label.replaceChildren(
      ...(!rounds.length
        ? []
        : !round
          ? ["Before any edit"]
          : [
              `Round ${round} of ${run.rounds}`,
              h("span", {}, ` · ${(run.edits[round] ?? 0).toLocaleString("en")} edits`),
            ]),
    );
    live.hidden = rounds.length < 2;
    live.setAttribute("aria-pressed", String(view.round === null));
    live.textContent = state.status === "running" ? "Live" : "Latest";
    play.hidden = rounds.length < 2;
    branch.hidden = rounds.length < 2;
    const place = [state.round ? `Round ${state.round} of ${run.rounds}` : null, state.lane].filter(Boolean).join(", ");
    const phase = [place, state.phase].filter(Boolean).join(": ");
    const waiting =
      state.status === "queued"
        ? state.position > 1
          ? `waiting, ${state.position - 1} ahead`
          : "waiting for the worker"
        : null;
    says.textContent =
      state.message ||
      (state.status === "running"
        ? phase || "starting"
        : waiting || state.says || "No run yet. Choose facts on the left, then press Run.");
    says.title = state.doing || "";
    left.textContent = !state.left ? "" : state.left === "a moment" ? "a moment left" : `about ${state.left} left`;
    const measured = run.rounds ? (rounds.at(-1) || 0) / run.rounds : 0;
    bar.style.transform = `scaleX(${state.status === "done" ? 1 : (state.whole ?? measured)})`;
    const told = [lost && LOST, state.notice].filter(Boolean).map((message) => ({ message, level: "warn" }));
    const all = [...told, ...(state.warnings || [])];
    notices.replaceChildren(
      ...all
        .filter((found) => !closed.has(found.message))
        .slice(-2)
        .map((found) =>
          h(
            "p",
            { class: `notice ${found.level}` },
            h(
              "span",
              {},
              [found.lane, found.round ? `round ${found.round}` : null].filter(Boolean).join(", ") +
                (found.lane ? ": " : "") +
                found.message,
            ),
            h(
              "button",
              {
                type: "button",
                "aria-label": "Close this notice",
                onclick: () => {
                  closed.add(found.message);
                  paint();
                },
              },
              "×",
            ),
          ),
        ),
    );
    document.title =
      state.status === "running" && run.rounds ? `${rounds.at(-1) || 0}/${run.rounds} · Edit Lab` : "Edit Lab";
  }

  // Once a second by a timer: an endless CSS animation makes the browser compute styles sixty times a second.
  setInterval(() => element.querySelector(".dock").classList.toggle("beat"), 1000);
  range.addEventListener("input", () => {
    const round = run.measured[Number(range.value)];
    tell({ round: round === run.measured.at(-1) ? null : round });
  });
  live.addEventListener("click", () => {
    stop();
    tell({ round: null });
  });
  branch.addEventListener("click", () => openBranch());
  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play the rounds");
  }
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Hold");
    let place = Number(range.value) >= run.measured.length - 1 ? 0 : Number(range.value);
    timer = setInterval(
      () => {
        if (place >= run.measured.length) return stop();
        const round = run.measured[place++];
        tell({ round: round === run.measured.at(-1) ? null : round });
      },
      Math.max(250, Math.min(900, 12000 / run.measured.length)),
    );
  });
  // A page that was suspended or disconnected gets no more messages, so it requests a new feed.
  const stale = () => {
    if (!view.run || Date.now() - last < patience) return;
    last = Date.now();
    patience = Math.min(patience * 2, 600000);
    trigger("again");
  };
  // A browser has few connections to one address for all its tabs, so a hidden tab releases its own.
  document.addEventListener("visibilitychange", () => {
    clearTimeout(aside);
    if (document.hidden) {
      aside = setTimeout(() => {
        resting = Boolean(view.run);
        if (resting) trigger("rest");
      }, REST);
    } else if (resting) {
      resting = false;
      last = heard = Date.now();
      trigger("again");
    } else stale();
  });
  const listening = () => {
    if (resting) return;
    const there = view.run && props.value?.state?.status !== "missing",
      now = Boolean(there) && (!navigator.onLine || Date.now() - heard > SILENT);
    if (now !== lost) {
      lost = now;
      paint();
    }
    stale();
  };
  window.addEventListener("offline", listening);
  window.addEventListener("online", () => {
    last = 0;
    stale();
  });
  setInterval(listening, 5000);
  listen((change) => {
    if (!change.missed) return paint();
    last = Math.min(last, Date.now() - patience + 2000); // request all rows again, soon
  });
  watch("value", take);
  take();
}
