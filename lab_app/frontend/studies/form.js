// The form of a study: its lanes, its rounds and its options. `choice` holds the choices so far, `about` returns a
// study by its name.
import { symbols } from "../shared/format.js";
import { h } from "../shared/dom.js";
import { marker, slotOf } from "../shared/lanes.js";
import { run, view } from "../shared/state.js";
import { evenly, limitsOf, valueOf, written } from "./options.js";

/**
 * The form of a study.
 * @param {HTMLElement} form
 * @param {{ name: string, lanes: string[] | null, rounds: Record<string, any>, options: Record<string, any> }} choice - the
 *   choices so far.
 * @param {(name: string) => any} about - a study by its name.
 * @returns {{ paint(): void, asked(study: any): string, begun(): boolean, looked(): number, lookedAt(): string }}
 *   functions: redraw the form; the chosen rounds; whether any round was measured; the selected round, as a number and in
 *   words.
 */
export function studyForm(form, choice, about) {
  const SOME = 5; // evenly spaced rounds, for studies of a development over rounds
  const begun = () => run.measured.length > 0;
  const looked = () => view.round ?? run.measured.at(-1) ?? 0;
  const lookedAt = () => (begun() ? `the selected one (${looked()})` : "the selected one");
  const someRounds = () => evenly(run.measured, SOME).join(",");
  /** The choice of rounds for this study: the user's, or one that suits its question. */
  const roundsOf = (study) =>
    choice.rounds[study.name] ?? { how: study.rounds === "several" ? "some" : "this", text: null };
  function asked(study) {
    const { how, text } = roundsOf(study);
    if (study.rounds === "none") return "last";
    return how === "this" ? String(looked()) : how === "all" ? "all" : (text ?? someRounds());
  }
  function field(study, option) {
    const own = (choice.options[study.name] ??= {}),
      value = option.name in own ? own[option.name] : (option.default ?? null);
    const give = (text) => (own[option.name] = valueOf(option, text));
    const label = `${option.name}${option.symbol && option.symbol !== option.name ? ` (${option.symbol})` : ""}`;
    const chosen = option.choices || (option.kind === "bool" ? [true, false] : null);
    const named = (one) => (one === true ? "yes" : one === false ? "no" : String(one));
    const input = chosen
      ? h(
          "select",
          { "data-option": option.name, onchange: (event) => give(event.target.value) },
          chosen.map((one) => h("option", { value: String(one), selected: one === value }, named(one))),
        )
      : h("input", {
          type: "text",
          inputmode: option.kind === "int" ? "numeric" : option.kind === "float" ? "decimal" : null,
          dir: "auto",
          "data-option": option.name,
          value: written(value),
          placeholder: option.optional ? "automatic" : "",
          autocomplete: "off",
          spellcheck: "false",
          oninput: (event) => give(event.target.value.trim()),
        });
    const limits = limitsOf(option);
    return h(
      "label",
      {},
      h("span", { class: "name" }, label),
      input,
      h("span", { class: "help" }, symbols(option.help), limits ? h("span", {}, ` (${limits})`) : null),
    );
  }
  function paint() {
    const study = about(choice.name);
    if (!study) return;
    const lanes = run.lanes,
      taken = (lane) => !choice.lanes || choice.lanes.includes(lane);
    const rounds = roundsOf(study),
      settings = study.options.map((option) => field(study, option));
    const how = (name, text) =>
      h(
        "button",
        {
          type: "button",
          "data-how": name,
          "aria-pressed": String(rounds.how === name),
          onclick: () => {
            choice.rounds[study.name] = { how: name, text: rounds.text };
            paint();
            /** @type {HTMLElement | null} */ (form.querySelector(".rounds [aria-pressed=true]"))?.focus();
          },
        },
        text,
      );
    const parts = [
      h("h3", {}, symbols(study.title)),
      h("p", { class: "from" }, study.source),
      lanes.length > 1
        ? h(
            "fieldset",
            { class: "of-lanes" },
            h("legend", {}, "Lanes"),
            lanes.map((lane) =>
              h(
                "label",
                { class: `slot-${slotOf(lane)}` },
                h("input", {
                  type: "checkbox",
                  checked: taken(lane),
                  onchange: (event) => {
                    const kept = new Set(lanes.filter(taken));
                    kept[event.target.checked ? "add" : "delete"](lane);
                    choice.lanes = kept.size === lanes.length ? null : [...kept];
                  },
                }),
                h("i", { class: `dot ${marker(lane)}`, "aria-hidden": "true" }),
                h("span", { dir: "auto" }, lane),
              ),
            ),
          )
        : null,
      study.rounds === "none"
        ? null
        : h(
            "fieldset",
            { class: "rounds" },
            h("legend", {}, "Rounds"),
            h("div", { class: "switch" }, how("this", lookedAt()), how("some", "some"), how("all", "all")),
            rounds.how === "some"
              ? h("input", {
                  type: "text",
                  inputmode: "numeric",
                  "aria-label": "Rounds, numbers with commas",
                  value: rounds.text ?? someRounds(),
                  oninput: (event) => {
                    choice.rounds[study.name] = { how: "some", text: event.target.value };
                  },
                })
              : null,
          ),
      settings.length ? h("div", { class: "settings" }, settings) : null,
      h(
        "div",
        { class: "go" },
        h("button", { type: "submit", class: "ask-study", disabled: !begun() }, "Run this study"),
        h("span", {}, begun() ? "" : "No round has been measured yet."),
      ),
    ];
    form.replaceChildren(...parts.filter((part) => part !== null));
  }
  return { paint, asked, begun, looked, lookedAt };
}
