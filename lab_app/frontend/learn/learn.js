// The Learn page: one lesson at a time. Predictions are kept in this browser; results come from a run, whose id is
// in the address.
import { otherTheme } from "../shared/theme.js";
import { lessonChart } from "./charts.js";
import { h } from "../shared/dom.js";
import { listen } from "../shared/state.js";

/**
 * The page of lessons.
 * @param {Context} context - `lessons`: all lessons; `value`: the state of the open one.
 */
export function learn({ element, props, watch, trigger }) {
  const QUIET = 30000, // ms without news of a running run, after which it is requested again
    LOOK = 5000;
  const ENDED = ["done", "stopped", "failed"];

  const lessons = props.lessons;
  const articles = [...element.querySelectorAll("article.lesson")];
  const tabs = [...element.querySelectorAll("nav a")];
  const figures = lessons.map((lesson, i) =>
    lesson.charts.map((chart, j) => lessonChart(articles[i].querySelectorAll(".chart")[j], chart, lesson.series)),
  );
  let number = 0,
    run = "",
    state = {},
    asked = false, // the run was requested and has not begun yet
    heard = performance.now();

  // -- what this browser stores of a lesson: its last run, that run's facts, and the predictions by run
  const key = (n = number) => `editlab:learn:${n}`;
  const NEW = { run: "", seed: 0, draft: null, predicted: {} };
  const kept = (n = number) => ({ ...NEW, ...JSON.parse(localStorage.getItem(key(n)) || "{}") });
  const keep = (change) => localStorage.setItem(key(), JSON.stringify({ ...kept(), ...change }));
  const predicted = () => (run ? (kept().predicted[run] ?? null) : kept().draft);

  const article = () => articles[number - 1];
  const find = (selector) => article().querySelector(selector);
  const begun = () => Boolean(run) && state.status !== "missing";

  function address(n, id) {
    const found = new URL(location.href);
    found.searchParams.set("lesson", n);
    if (id) found.searchParams.set("run", id);
    else found.searchParams.delete("run");
    return found;
  }
  /** Show a lesson, and a run of it: the given one, or the last one of this browser. */
  function open(n, id, remember = true) {
    number = n;
    run = id ?? kept(n).run;
    state = {};
    asked = false;
    if (remember && address(n, run).href !== location.href) history.pushState(history.state, "", address(n, run));
    else history.replaceState(history.state, "", address(n, run));
    articles.forEach((one, i) => (one.hidden = i + 1 !== n));
    tabs.forEach((tab, i) => tab.setAttribute("aria-current", i + 1 === n ? "page" : "false"));
    document.title = `${lessons[n - 1].title} · Edit Lab`;
    if (run) follow();
    paint();
  }
  function follow() {
    heard = performance.now();
    trigger("follow", { lesson: number, run });
  }

  // -- predicting
  function choose(value) {
    if (begun()) return;
    keep({ draft: value });
    paint();
  }
  function paintPrediction() {
    const value = predicted(),
      slider = find(".slider input"),
      set = find("fieldset");
    set.disabled = begun() || asked;
    for (const radio of set.querySelectorAll("input[type=radio]")) {
      radio.checked = radio.value === value;
      radio.closest("label").classList.toggle("chosen", radio.checked);
    }
    if (slider) {
      slider.toggleAttribute("data-unset", value === null);
      slider.value = value ?? 50;
      find(".slider output").textContent = value === null ? "?" : `${value} %`;
    }
  }

  // -- running
  function paintRun() {
    const status = begun() ? state.status : "",
      ended = ENDED.includes(status);
    const show = (name, shown) => (find(`[data-do=${name}]`).hidden = !shown);
    show("begin", !begun());
    show("stop", begun() && !ended);
    show("resume", ["stopped", "failed", "paused"].includes(status));
    show("again", ended);
    find("[data-do=begin]").disabled = asked || predicted() === null;
    find(".takes").hidden = begun();
    const part = status === "done" ? 1 : (state.part ?? 0),
      meter = find(".meter");
    meter.classList.toggle("stopped", ended && status !== "done");
    meter.setAttribute("aria-valuenow", Math.round(100 * part));
    meter.firstElementChild.style.transform = `scaleX(${part})`;
    const stages = lessons[number - 1].stages,
      stage = stages > 1 && state.live ? `${state.stage || 1} of ${stages}: ` : "";
    find(".progress .says").textContent = asked
      ? "asking…"
      : !begun()
        ? predicted() === null
          ? "Predict first, then compare."
          : ""
        : stage + (state.says ?? "reading…");
    find(".progress .left").textContent = state.left ? `${state.left} left` : "";
    find(".problem").textContent = state.status === "missing" ? state.says : (state.problem ?? "");
  }

  // -- results
  const percent = (value) => `${value < 1 && value > 0 ? value.toFixed(1) : Math.round(value)} %`;
  function verdict(outcome) {
    const value = predicted(),
      { options } = lessons[number - 1];
    const line = (name, kind, text) => h("div", { class: kind }, h("span", {}, name), h("b", {}, text));
    const came = (text, note) => line(["Measured", note].filter(Boolean).join(" — "), "came", text);
    const mine = (text) => line("You predicted", "mine", value === null ? "nothing, in this browser" : text);
    if (options) {
      const right = value !== null && outcome.value === value ? "as you predicted" : "";
      return [mine(options[value] ?? "–"), came(options[outcome.value] ?? outcome.says, right)];
    }
    const off = value === null ? "" : `${Math.round(Math.abs(value - outcome.value))} points off`;
    const at = (share, kind) => h("i", { class: kind, style: `left:${Math.min(100, Math.max(0, share))}%` });
    const marks = [value === null ? null : at(value, "mine"), at(outcome.value, "came")];
    const scale = h("div", { class: "scale", "aria-hidden": "true" }, marks);
    return [mine(percent(value ?? 0)), came(outcome.says, off), scale];
  }
  function paintSeen() {
    const seen = begun() ? state.seen || {} : {},
      over = ENDED.includes(state.status),
      sentences = over ? seen.sentences || [] : [];
    const early = over && state.status !== "done" && sentences.length > 0;
    find(".sentences").replaceChildren(
      ...(early ? [h("p", { class: "early" }, "The run ended early. These are the measurements up to then.")] : []),
      ...sentences.map((text) => h("p", { dir: "auto" }, text)),
    );
    find(".verdict").replaceChildren(...(over && seen.outcome ? verdict(seen.outcome) : []));
    figures[number - 1].forEach((draw) => draw(seen.rows || [], `${number} ${run}`));
    find(".links").hidden = !(begun() && over);
    find("[data-do=open]").href = `./?run=${encodeURIComponent(run)}`;
    find("[data-do=address]").href = address(number, run).href;
    find(".shows").classList.toggle("has-data", Boolean(seen.rows?.length));
  }
  function paint() {
    if (!number) return;
    paintPrediction();
    paintRun();
    paintSeen();
  }

  const actions = {
    begin() {
      asked = true;
      state = {};
      paint();
      trigger("begin", { lesson: number, seed: kept().seed });
    },
    stop: () => trigger("stop", { lesson: number, run }),
    resume() {
      trigger("resume", { lesson: number, run });
      state = { status: "queued", live: true, says: "waiting", seen: state.seen };
      paint();
    },
    again() {
      keep({ run: "", seed: kept().seed + 1, draft: null });
      open(number, "");
      find("fieldset input").focus();
    },
    theme: otherTheme,
  };
  element.addEventListener("click", (event) => {
    const at = /** @type {Part} */ (event.target),
      tab = /** @type {HTMLElement | null} */ (at.closest("nav a"));
    if (tab && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      open(Number(tab.dataset.lesson));
      scrollTo({ top: 0 });
    }
    const button = /** @type {HTMLElement | null} */ (at.closest("button[data-do]"));
    actions[button?.dataset.do ?? ""]?.();
  });
  element.addEventListener("input", (event) => {
    const at = /** @type {Part} */ (event.target),
      input = /** @type {HTMLInputElement | null} */ (at.closest(".predict input"));
    if (input) choose(input.type === "radio" ? input.value : Number(input.value));
  });
  // A click or a key press on a slider confirms its current value as the prediction.
  for (const name of ["change", "pointerup"])
    element.addEventListener(name, (event) => {
      const at = /** @type {HTMLInputElement} */ (event.target);
      if (at.matches(".slider input")) choose(Number(at.value));
    });

  function update() {
    const value = props.value || {};
    heard = performance.now();
    if (value.arrived && !number) return open(value.lesson, value.run || null, false);
    if (value.lesson !== number) return;
    if (value.problem) {
      asked = false;
      state = { problem: value.problem };
    } else if (value.begun && asked) {
      asked = false;
      run = value.run;
      keep({ run, seed: value.seed, draft: null, predicted: { ...kept().predicted, [run]: kept().draft } });
      state = { status: "queued", live: true, says: "waiting" };
      history.replaceState(history.state, "", address(number, run));
      follow();
    } else if (value.state && value.run === run) state = value.state;
    paint();
  }

  watch("value", update);
  addEventListener("popstate", () => {
    const query = new URL(location.href).searchParams;
    open(Math.min(Math.max(1, Number(query.get("lesson")) || 1), lessons.length), query.get("run") || null, false);
  });
  setInterval(() => {
    if (run && state.live && performance.now() - heard > QUIET) follow();
  }, LOOK);
  listen(paint); // light and dark
  update();
}
