// The fact card: a dialog that any element with data-fact opens.
import { h, target } from "../shared/dom.js";
import { percent } from "../shared/format.js";
import { marker, slotOf } from "../shared/lanes.js";
import { run, tell, view } from "../shared/state.js";
import { lens } from "./lens.js";

/** @type {(fact: number, unedited?: boolean) => void} of the card on this page, once it is there */
let show = () => {};

/**
 * Open the card of a fact.
 * @param {number} fact - its number in the run, or among the unedited facts.
 * @param {boolean} unedited - whether it is an unedited fact.
 */
export function openFact(fact, unedited = false) {
  show(fact, unedited);
}

/**
 * The dialog.
 * @param {Context} context - `value`: the lanes' answers about the last requested fact.
 */
export function card({ element, props, watch, trigger }) {
  const dialog = element.querySelector("dialog"),
    find = (selector) => dialog.querySelector(selector);
  const KINDS = { edit: "", paraphrase: "Paraphrases", neighbor: "Neighbors", portability: "Portability" };
  let place = 0,
    asked = /** @type {{ fact: number, unedited?: boolean } | null} */ (null),
    lane = /** @type {string | null} */ (null);

  show = (fact, unedited) => {
    if (!view.run) return;
    asked = { fact, unedited };
    place += 1;
    tell({ fact: unedited ? null : fact });
    paint();
    if (!dialog.open) dialog.showModal();
    trigger("look", { fact, unedited, round: view.round, place });
  };
  document.addEventListener("click", (event) => {
    const button = /** @type {HTMLElement | null | undefined} */ (target(event)?.closest("[data-fact]"));
    if (button) show(Number(button.dataset.fact), "unedited" in button.dataset);
  });
  find(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // a click outside of the card
  });

  const share = (value) =>
    value === null || value === undefined ? "" : value > 0.995 && value < 1 ? ">99" : String(Math.round(100 * value));
  /** One answer's probability: a bar and its number. */
  function bar(kind, value, exact, title) {
    if (value === null || value === undefined) return null;
    return h(
      "span",
      { class: `${kind}${exact ? " first" : ""}`, title },
      h("i", { style: `width:${Math.round(100 * value)}%` }),
      h("b", {}, share(value), exact ? h("span", { "aria-label": "arg-max" }, " ✓") : null),
    );
  }
  function answers(found) {
    const last = found.rounds.at(-1).round;
    const head = found.rounds.map(({ round }) =>
      h(
        "th",
        { scope: "col", class: round === (view.round ?? last) ? "looked" : null },
        round === 0 ? "before" : `round ${round}`,
        round && round === found.edited_in ? h("small", {}, "edited") : null,
      ),
    );
    let kind = "edit";
    const lines = found.questions.flatMap((question, i) => {
      const wanted = question.kind === "neighbor" ? "truth" : "target";
      const row = h(
        "tr",
        {},
        h(
          "th",
          { scope: "row", dir: "auto" },
          h("span", { class: "ask" }, question.prompt),
          h(
            "span",
            { class: "wanted" },
            question.target ? [h("i", { class: "dot square new" }), ` ${question.target}`] : null,
            question.target && question.truth ? " · " : null,
            question.truth ? [h("i", { class: "dot square old" }), ` ${question.truth}`] : null,
          ),
        ),
        found.rounds.map((at) => {
          const cell = (name) =>
            bar(
              name === "target" ? "new" : "old",
              at[name][i],
              name === wanted && at.exact[i],
              `${question[name]}: ${percent(at[name][i])} per token, round ${at.round}`,
            );
          return h("td", {}, cell("target"), cell("truth"));
        }),
      );
      const title =
        question.kind !== kind
          ? [
              h(
                "tr",
                { class: "kind" },
                h("th", { colspan: head.length + 1 }, h("span", {}, KINDS[(kind = question.kind)])),
              ),
            ]
          : [];
      return [...title, row];
    });
    return h(
      "table",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "probability per token, %"), head)),
      h("tbody", {}, lines),
    );
  }
  function proof(found) {
    if (found.unedited)
      return [h("p", { class: "small" }, "No lane edits this fact. It is one of the unedited facts.")];
    if (!found.proof) return [h("p", { class: "small" }, "This lane has not edited this fact.")];
    const number = (value) => (value === 0 ? "0" : value.toPrecision(3));
    const whole = found.proof.layers.every((row) => row.same);
    return [
      h("h3", {}, `Update of round ${found.proof.round}`),
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["layer", "‖ΔW‖", "of ‖W₀‖", "removed by guards", "hash of W"].map((name) =>
              h("th", { scope: "col" }, name),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          found.proof.layers.map((row) =>
            h(
              "tr",
              {},
              h("td", {}, String(row.layer)),
              h("td", { title: `before the guards ${number(row.raw)}` }, number(row.norm)),
              h("td", {}, percent(row.norm / row.weight)),
              h("td", {}, percent(row.removed)),
              h(
                "td",
                {},
                h("code", {}, row.hash),
                row.same
                  ? h("span", { class: "same", title: "as recorded when it was edited" }, " ✓")
                  : row.same === false
                    ? h("span", { class: "other" }, " differs")
                    : null,
              ),
            ),
          ),
        ),
      ),
      h(
        "p",
        { class: "small" },
        whole
          ? "Rebuilt from the ledger. ✓: identical, bit for bit, to the hash recorded at the edit."
          : "Rebuilt from the ledger. Where the hash differs, the bits are not those recorded at the edit.",
      ),
    ];
  }
  /** Whether the map shows a point of this fact. */
  function onMap() {
    const drawn = /** @type {any} */ (document.querySelector("#lab-panel-map .plot"))?.data || [];
    return !asked?.unedited && drawn.some((trace) => trace.facts?.includes(asked?.fact));
  }
  function paint() {
    const value = props.value || {},
      here = asked && value.place === place ? value : { lanes: [], message: "" };
    const known = here.lanes.filter((found) => found.fact),
      shown = known.find((found) => found.lane === lane) || known[0];
    const fact = shown?.fact;
    const focused = dialog.querySelector(".of-lane")?.contains(document.activeElement);
    find("h2").replaceChildren(
      ...(fact
        ? [
            fact.prompt.replace("{}", fact.subject),
            " ",
            h(
              "span",
              { class: "wanted" },
              "→ ",
              h("b", { dir: "auto" }, fact.target),
              fact.truth && fact.truth !== fact.target ? ` (was ${fact.truth})` : null,
            ),
          ]
        : [asked?.unedited ? `Unedited fact ${asked.fact + 1}` : `Fact ${(asked?.fact ?? 0) + 1}`]),
    );
    find(".about").textContent =
      asked && fact
        ? [`${asked.unedited ? "unedited " : ""}fact ${asked.fact + 1}`, fact.relation, fact.source, fact.id]
            .filter(Boolean)
            .join(" · ")
        : "";
    find(".note").textContent =
      here.message || here.lanes.find((found) => found.message)?.message || (known.length ? "" : "asking the model…");
    find(".of-lane").replaceChildren(
      ...(run.lanes.length > 1
        ? run.lanes.map((name) =>
            h(
              "button",
              {
                type: "button",
                class: `slot-${slotOf(name)}`,
                disabled: !known.some((found) => found.lane === name),
                "aria-pressed": String(name === shown?.lane),
                onclick: () => {
                  lane = name;
                  paint();
                },
              },
              h("i", { class: `dot ${marker(name)}`, "aria-hidden": "true" }),
              ` ${name}`,
            ),
          )
        : []),
    );
    if (focused) find(".of-lane [aria-pressed=true]")?.focus();
    find(".answers-over-rounds").className = `answers-over-rounds${shown ? ` slot-${slotOf(shown.lane)}` : ""}`;
    find(".answers-over-rounds").replaceChildren(...(shown ? [answers(shown)] : []));
    const table = find(".answers-over-rounds"),
      looked = table.querySelector("th.looked");
    if (looked && looked.offsetLeft + looked.offsetWidth > table.clientWidth) table.scrollLeft = looked.offsetLeft;
    find(".lens").className = `lens${shown ? ` slot-${slotOf(shown.lane)}` : ""}`;
    find(".lens").replaceChildren(...(shown ? lens(shown) : []));
    find(".proof").replaceChildren(...(shown ? proof(shown) : []));
    const map = h(
      "button",
      {
        type: "button",
        class: "to-map",
        onclick: () => {
          dialog.close();
          document.querySelector("#lab-panel-map")?.scrollIntoView({ block: "center" });
        },
      },
      "Show on the map",
    );
    find(".end").replaceChildren(...(shown && onMap() ? [map] : []));
  }
  watch("value", paint);
}
