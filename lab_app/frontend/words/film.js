// The film strip: rows are saved prompts, columns are rounds; one strip per lane.
import { h } from "../shared/dom.js";
import { marker, shown, slotOf } from "../shared/lanes.js";
import { listen, run, savedProbes, tell, view } from "../shared/state.js";

/**
 * A continuation, marked from where it differs from that of the unedited model.
 * @param {string | undefined} text
 * @param {string | undefined} before - the unedited model's continuation.
 * @returns {string | (string | HTMLElement)[]}
 */
export function leaving(text, before) {
  if (text === undefined) return "";
  if (before === undefined || text === before) return text || "(nothing)";
  const words = text.split(/(?<=\s)/),
    old = before.split(/(?<=\s)/);
  let same = 0;
  while (same < words.length && words[same] === old[same]) same += 1;
  return [words.slice(0, same).join(""), h("mark", {}, words.slice(same).join("") || "(nothing)")];
}

/**
 * The strip.
 * @param {Context} context - `value`: the answers to prompts that were requested afterwards.
 */
export function film({ element, props, watch, trigger }) {
  const section = element.querySelector(".film"),
    strips = element.querySelector(".strips"),
    note = element.querySelector(".note");
  const films = new Map(); // prompts that were requested afterwards, by prompt and lane
  const going = new Set();
  let shownRun = "",
    painted = "";

  /** The rows of a lane: `[prompt, [[round, text], …]]`, those of the run first. */
  function rowsOf(lane) {
    const rows = (run.said?.lanes.get(lane) || []).filter((row) => row.probes);
    const prompts = [...(run.said?.lanes.values() || [])].flat().find((row) => row.prompts)?.prompts || [];
    const own = prompts.map((prompt, i) => [prompt, rows.map((row) => [row.round, row.probes[i]])]);
    const later = [...films].filter(([prompt]) => !prompts.includes(prompt));
    return [...own, ...later.map(([prompt, lanes]) => [prompt, lanes.get(lane) || []])];
  }
  function strip(lane) {
    const rows = rowsOf(lane),
      rounds = [...new Set(rows.flatMap(([, cells]) => cells.map(([round]) => round)))].sort((a, b) => a - b);
    if (!rounds.length) return null;
    const looked = view.round ?? rounds.at(-1),
      place = rounds.findLast((round) => round <= looked);
    const head = rounds.map((round) =>
      h(
        "th",
        { scope: "col", class: round === place ? "looked" : null },
        h(
          "button",
          { type: "button", onclick: () => tell({ round: round === run.measured.at(-1) ? null : round }) },
          round ? `round ${round}` : "before",
        ),
      ),
    );
    const lines = rows.map(([prompt, cells]) => {
      const texts = new Map(cells);
      return h(
        "tr",
        {},
        h("th", { scope: "row", dir: "auto" }, prompt),
        rounds.map((round) =>
          h("td", { dir: "auto", class: round === place ? "looked" : null }, leaving(texts.get(round), texts.get(0))),
        ),
      );
    });
    return h(
      "div",
      { class: `strip slot-${slotOf(lane)}` },
      h("h3", {}, h("i", { class: `dot ${marker(lane)}`, "aria-hidden": "true" }), ` ${lane}`),
      h(
        "div",
        { class: "frames", tabindex: "0", "aria-label": `What ${lane} says, round by round` },
        h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "prompt"), head)), h("tbody", {}, lines)),
      ),
    );
  }
  function waiting() {
    const known = new Set(shown().flatMap((lane) => rowsOf(lane).map(([prompt]) => prompt)));
    return run.measured.length ? savedProbes().filter((prompt) => !known.has(prompt)) : [];
  }
  function paint() {
    const rest = waiting(),
      lanes = shown();
    const state = JSON.stringify([
      view.run,
      view.round,
      lanes,
      lanes.map(slotOf),
      lanes.map(rowsOf),
      rest,
      [...going],
      savedProbes(),
    ]);
    if (state === painted) return;
    painted = state;
    const scrolled = [...strips.querySelectorAll(".frames")].map((frames) => frames.scrollLeft);
    const drawn = lanes.map(strip).filter(Boolean);
    const asks = rest.map((prompt) =>
      h(
        "p",
        { class: "later" },
        h("q", { class: "words", dir: "auto" }, prompt),
        h(
          "button",
          {
            type: "button",
            disabled: going.has(prompt),
            onclick: () => {
              going.add(prompt);
              trigger("film", { prompt });
              paint();
            },
          },
          going.has(prompt) ? "asking…" : "Run at all measured rounds",
        ),
      ),
    );
    strips.replaceChildren(...drawn, ...asks);
    strips.querySelectorAll(".frames").forEach((frames, i) => {
      frames.scrollLeft = scrolled[i] ?? 0;
      const here = frames.querySelector("th.looked");
      const hidden =
        here &&
        (here.offsetLeft + here.offsetWidth > frames.scrollLeft + frames.clientWidth ||
          here.offsetLeft < frames.scrollLeft + 150);
      if (hidden) frames.scrollLeft = here.offsetLeft - frames.clientWidth / 2;
    });
    section.hidden = !drawn.length && !asks.length;
  }
  function take() {
    const value = props.value || {};
    if (value.run !== view.run) return;
    if (value.lanes?.length) {
      const lanes = films.get(value.prompt) || new Map();
      for (const { lane, rounds } of value.lanes)
        lanes.set(
          lane,
          rounds.map((at) => [at.round, at.text]),
        );
      films.set(value.prompt, lanes);
    }
    if (value.message || value.lanes?.length === value.of) going.delete(value.prompt);
    note.textContent = value.message || "";
    paint();
  }
  watch("value", take);
  listen(() => {
    if (view.run !== shownRun) {
      shownRun = view.run;
      films.clear();
      going.clear();
      note.textContent = "";
    }
    paint();
  });
}
