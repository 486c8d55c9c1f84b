// Model continuations: before and after, for each lane, for the facts of the selected round and for a typed prompt.
import { isDark } from "../shared/theme.js";
import { h } from "../shared/dom.js";
import { byLane, reader, rowAt } from "../shared/feed.js";
import { percent } from "../shared/format.js";
import { marker, shown, slotOf } from "../shared/lanes.js";
import { listen, run, savedProbes, tell, view } from "../shared/state.js";

/**
 * A continuation, with the expected answer marked if the model begins with it.
 * @param {string | null | undefined} said
 * @param {string} [target] - the new answer.
 * @param {string} [truth] - the old one.
 * @returns {HTMLElement}
 */
export function continuation(said, target, truth) {
  const whole = String(said ?? "");
  const words = whole.trimStart(),
    starts = (answer) => answer && words.toLowerCase().startsWith(answer.toLowerCase());
  const found = starts(target) ? target : starts(truth) ? truth : null;
  return h(
    "q",
    { dir: "auto", class: "words" },
    ...(found
      ? [
          h("mark", { class: found === target ? "new" : "old" }, words.slice(0, found.length)),
          words.slice(found.length),
        ]
      : [words || "(nothing)"]),
  );
}

/**
 * The continuations for the facts of the round.
 * @param {Context} context - `value`: their feed.
 */
export function words({ element, props, watch }) {
  const read = reader(),
    body = element.querySelector(".said"),
    title = element.querySelector("h3 span");
  let model = byLane([]),
    painted = "";

  function paint() {
    const lanes = shown().filter((lane) => model.lanes.has(lane)),
      facts = new Map();
    let round = null;
    for (const lane of lanes) {
      const row = rowAt(model.lanes.get(lane) ?? []);
      if (!row) continue;
      round = Math.max(round ?? 0, row.round);
      for (const found of row.words) {
        const key = `${found.fact} ${found.prompt}`;
        if (!facts.has(key)) facts.set(key, { found, said: [] });
        facts.get(key).said.push([lane, found]);
      }
    }
    const state =
      JSON.stringify([round, lanes, [...facts.keys()], lanes.map(slotOf), isDark()]) +
      [...facts.values()].map((fact) => fact.said.map(([, found]) => found.after)).join();
    if (state === painted) return;
    painted = state;
    title.textContent = round ? `after round ${round}` : "";
    body.replaceChildren(
      ...[...facts.values()].map(({ found, said }) =>
        h(
          "article",
          {},
          h(
            "button",
            { type: "button", class: "ask", dir: "auto", "data-fact": found.fact, title: "Open this fact" },
            found.prompt,
            " ",
            h("span", { class: "wanted" }, "→ ", h("b", { dir: "auto" }, found.target)),
          ),
          h(
            "dl",
            {},
            h(
              "dt",
              { class: "base", title: "before any edit" },
              h("i", { class: "dot circle" }),
              h("span", {}, "before"),
            ),
            h("dd", {}, continuation(found.before, found.target, found.truth)),
            said.flatMap(([lane, each]) => [
              h(
                "dt",
                { class: `slot-${slotOf(lane)}`, title: lane },
                h("i", { class: `dot ${marker(lane)}` }),
                h("span", {}, lane),
              ),
              h("dd", { class: each.said ? "is-said" : "" }, continuation(each.after, each.target, each.truth)),
            ]),
          ),
        ),
      ),
    );
    element.querySelector(".empty").hidden = facts.size > 0;
  }
  function take() {
    model = run.said = byLane(read(props.value));
    paint();
  }
  watch("value", () => {
    take();
    tell({ said: true });
  });
  take();
  listen(paint);
  paint();
}

/**
 * Any prompt, continued by the model at the selected round.
 * @param {Context} context - `value`: the answers.
 */
export function probe({ element, props, watch, trigger }) {
  const form = element.querySelector("form"),
    input = element.querySelector("input"),
    leaving = element.querySelector(".without"),
    without = leaving.querySelector("input"),
    answers = element.querySelector(".answers"),
    hint = element.querySelector(".hint");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const prompt = input.value.trim();
    if (!prompt) {
      hint.textContent = "Type the beginning of a sentence, for example: The capital of France is";
      input.focus();
      return;
    }
    hint.textContent = "asking…";
    trigger("ask", { prompt, round: view.round, without: without.checked && !leaving.hidden });
  });
  // A starred prompt is repeated at every measured round of the next run.
  const star = element.querySelector(".star"),
    MOST = 6;
  function mark() {
    const saved = savedProbes().includes(input.value.trim());
    star.setAttribute("aria-pressed", String(saved));
    star.textContent = saved ? "★" : "☆";
    star.title = saved
      ? "Saved for the next run. Press to remove it"
      : "Save for the next run, to be continued at every measured round";
  }
  star.addEventListener("click", () => {
    const prompt = input.value.trim(),
      saved = savedProbes();
    if (!prompt || prompt.length > 200) hint.textContent = "Prompts of 1 to 200 characters can be saved.";
    else if (saved.includes(prompt)) savedProbes(saved.filter((one) => one !== prompt));
    else if (saved.length >= MOST) hint.textContent = `${MOST} prompts are saved already. Remove one first.`;
    else savedProbes([...saved, prompt]);
    mark();
  });
  input.addEventListener("input", mark);
  listen((change) => "saved" in change && mark());
  mark();
  // The selected round can be left out: then the latest model answers as if it had not been edited.
  listen(() => {
    leaving.hidden = !view.round;
    leaving.querySelector("span").textContent = `the latest model, as if round ${view.round} had not been edited`;
  });
  function paint() {
    const { answers: said = [], message = "", round = null, without = [], prompt = "" } = props.value || {};
    hint.textContent = message;
    answers.replaceChildren(
      ...(said.length
        ? [
            h(
              "p",
              { class: "ask", dir: "auto" },
              prompt,
              h(
                "span",
                { class: "wanted" },
                round ? ` at round ${round}` : without.length ? ` without round ${without}` : "",
              ),
            ),
          ]
        : []),
      h(
        "dl",
        {},
        said.flatMap((found) => [
          h(
            "dt",
            {
              class: found.base ? "base" : `slot-${slotOf(found.lane)}`,
              title: found.base ? "before any edit" : found.lane,
            },
            h("i", { class: `dot ${found.base ? "circle" : marker(found.lane)}` }),
            h("span", {}, found.base ? "before" : found.lane),
          ),
          h(
            "dd",
            {},
            found.text === undefined ? h("span", { class: "wanted" }, found.message || "…") : continuation(found.text),
            h(
              "span",
              { class: "next" },
              (found.next || [])
                .slice(0, 4)
                .map(([token, share]) =>
                  h(
                    "span",
                    { title: `next token, ${percent(share)}` },
                    h("i", { style: `width:${Math.round(100 * share)}%` }),
                    h("b", { dir: "auto" }, token.trim() || "␣"),
                    ` ${Math.round(100 * share)}`,
                  ),
                ),
            ),
          ),
        ]),
      ),
    );
  }
  watch("value", paint);
  paint();
}
