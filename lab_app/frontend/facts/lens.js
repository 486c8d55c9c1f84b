// The logit lens in a fact's card: what each layer would say at two tokens, before the edits and at the round looked at.
import { h } from "../shared/dom.js";
import { percent } from "../shared/format.js";

/**
 * The part of the card; empty if the answer has no lens.
 * @param {any} found - a lane's answer: `fact`, and `lens` of each round.
 * @returns {HTMLElement[]}
 */
export function lens({ fact, lens: read }) {
  if (!read?.length) return [];
  const layers = read[0].places[0].target.length;
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, "after layer"),
    Array.from({ length: layers }, (_, layer) =>
      h("th", { scope: "col" }, layer % 5 && layer !== layers - 1 ? "" : String(layer)),
    ),
  );
  const places = read[0].places.map(({ place, token }, at) => [
    h(
      "tr",
      { class: "kind" },
      h("th", { colspan: layers + 1 }, h("span", {}, `${place}: `, h("bdi", {}, token.trim() || token))),
    ),
    ["target", "truth"].flatMap((name) =>
      fact[name] && read[0].places[at][name]
        ? read.map(({ round, places: there }) => line(name, fact[name], round, there[at]))
        : [],
    ),
  ]);
  return [
    h("h3", {}, "What each layer would say"),
    h("table", {}, h("thead", {}, head), h("tbody", {}, places.flat(2))),
    h(
      "p",
      { class: "small" },
      "Logit lens: the residual stream after each layer goes through the last norm and the head. A cell’s colour is the " +
        "probability of the object’s first token; a frame marks layers where it is the likeliest token.",
    ),
  ];
}

/** An object's probabilities by layer at one round. */
function line(name, object, round, there) {
  const kind = name === "target" ? "new" : "old";
  const values = there[name],
    first = there[`${name}_first`];
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("i", { class: `dot square ${kind}` }),
      h("bdi", {}, ` ${object}`),
      h("small", {}, round ? ` round ${round}` : " before"),
    ),
    values.map((value, layer) =>
      h(
        "td",
        {
          class: `${kind}${first[layer] ? " first" : ""}`,
          title: `after layer ${layer}: ${percent(value)}; likeliest token: ${there.says[layer]}`,
          "aria-label": percent(value),
        },
        h("i", { style: `opacity:${value.toFixed(2)}` }),
      ),
    ),
  );
}
