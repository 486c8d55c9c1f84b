// The card of one lane: a method, a guard with its threshold, a colour and the method's settings.
import { h } from "../shared/dom.js";
import { SLOTS } from "../shared/lanes.js";
import { run } from "../shared/state.js";
import { laneFields } from "./fields.js";
import { beginsSays, known, labelOf, refusal, tauSays, withMethod } from "./recipe.js";

/**
 * The form that contains the cards: its lanes, their effective defaults, and the notes on each.
 * @typedef {object} Form
 * @property {() => Lane[]} lanes
 * @property {(index: number, change: object) => void} change
 * @property {() => void} paint
 * @property {(index: number) => number} colour - its slot.
 * @property {((index: number) => void) | null} remove - null if lanes cannot be removed.
 * @property {(index: number) => any} [settled]
 * @property {(index: number) => string} [beware]
 */

/**
 * Makes cards of lanes.
 * @param {() => Record<string, any>} props - `catalogue`: methods, guards, priors and wrappers; `curves`, `problems`.
 * @param {Form} at
 * @returns {{ card(lane: Lane, index: number): HTMLElement, settle(element: Element): void }} a lane's card, and a
 *   function that updates the defaults of all fields of a card.
 */
export function laneCard(props, at) {
  const { lanes, change, paint } = at;
  const { settings, settle } = laneFields(props, at);
  const entry = (kind, name) => known(props().catalogue, kind, name);
  /** Whether a guard needs a setting before it can act. */
  const needs = (guard) => entry("guards", guard)?.fields?.[0]?.default === null;

  function card(lane, index) {
    const guard = entry("guards", lane.guard),
      method = entry("methods", lane.method);
    const tau = guard?.tau !== undefined && guard?.tau !== null;
    const protects = (of) => tauSays(of, props().catalogue, run.curves || props().curves || []);
    const says = h("p", { class: "k" }, tau ? protects(lane) : "");
    const output = h("output", {}, Number(lane.tau ?? guard?.tau ?? 0.1).toFixed(2));
    const slider = h("input", {
      type: "range",
      min: 0.01,
      max: 0.5,
      step: 0.01,
      value: lane.tau ?? guard?.tau ?? 0.1,
      "aria-label": `Threshold τ of lane ${index + 1}`,
      oninput: (event) => {
        change(index, { tau: Number(event.target.value) });
        output.textContent = Number(event.target.value).toFixed(2);
        says.textContent = protects(lanes()[index]);
      },
    });
    const select = (kind, value, none, give) =>
      h(
        "select",
        {
          "aria-label": `${none ? "Guard" : "Method"} of lane ${index + 1}`,
          onchange: (event) => {
            give(event.target.value);
            paint();
          },
        },
        [
          ...(none ? [["", none]] : []),
          ...(props().catalogue?.[kind] || []).map((found) => [found.name, found.title]),
        ].map(([name, text]) => {
          const why = none ? refusal(props().catalogue, lane.method, kind, name) : "";
          return h(
            "option",
            { value: name, selected: name === value, disabled: Boolean(why), title: why || null },
            text,
          );
        }),
      );
    const name = labelOf(lane, props().catalogue),
      begins = beginsSays(lane),
      colour = at.colour(index);
    return h(
      "div",
      { class: `lane-card slot-${colour}` },
      h(
        "div",
        { class: "first" },
        h(
          "button",
          {
            type: "button",
            class: "swatch",
            title: "Another colour",
            "aria-label": `Colour of lane ${index + 1}`,
            onclick: () => {
              const next = (colour % SLOTS) + 1;
              change(index, { colour: next });
              paint();
            },
          },
          h("i", { class: "dot square" }),
        ),
        select("methods", lane.method, null, (method) => change(index, withMethod(lane, method, props().catalogue))),
        h("span", { "aria-hidden": "true" }, "+"),
        select("guards", lane.guard || "", "no guard", (guard) =>
          change(index, { guard, tau: entry("guards", guard)?.tau ?? null, guard_options: {}, open: needs(guard) }),
        ),
        h(
          "button",
          {
            type: "button",
            class: "remove",
            "aria-label": `Remove lane ${index + 1}`,
            hidden: !at.remove,
            disabled: lanes().length < 2,
            onclick: () => at.remove?.(index),
          },
          "×",
        ),
      ),
      begins ? h("p", { class: "begins", dir: "auto" }, begins) : null,
      tau ? h("div", { class: "tau" }, h("span", {}, "τ"), slider, output) : null,
      tau ? says : null,
      method?.fields?.length
        ? h(
            "details",
            {
              class: "more",
              open: lane.open,
              ontoggle: (event) => {
                if (Boolean(lanes()[index]?.open) !== event.target.open) change(index, { open: event.target.open });
              },
            },
            h("summary", {}, "Settings"),
            h(
              "div",
              { class: "fields" },
              h(
                "label",
                { title: "Name of this lane in the plots" },
                h("span", {}, "name"),
                h("input", {
                  type: "text",
                  dir: "auto",
                  value: lane.name || "",
                  placeholder: name,
                  oninput: (event) => change(index, { name: event.target.value }),
                }),
              ),
              settings(lane, index),
            ),
          )
        : null,
      h("p", { class: "beware", role: "status" }, at.beware?.(index) || ""),
      h(
        "p",
        { class: "problem", role: "alert" },
        (props().problems?.items || [])
          .filter((found) => found.lane === index)
          .map((found) => found.message)
          .join("; "),
      ),
    );
  }
  return { card, settle };
}
