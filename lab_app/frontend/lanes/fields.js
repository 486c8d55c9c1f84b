// The fields of a lane's settings: parameters of its method and guards, its prior, its wrapper, and further guards.
import { h } from "../shared/dom.js";
import { known, refusal } from "./recipe.js";

/**
 * Makes the fields of cards.
 * @param {() => Record<string, any>} props - of the form: its `catalogue`.
 * @param {import("./card.js").Form} at - the form.
 * @returns {{ settings(lane: Lane, index: number): HTMLElement[], settle(element: Element): void }} all fields of a lane; and a
 *   function that updates the defaults of all fields of a card.
 */
export function laneFields(props, at) {
  const { lanes, change, paint } = at;
  const entry = (kind, name) => known(props().catalogue, kind, name);

  /** A field's effective default with the lane's prior, wrapper and model, and its help text. */
  function standing(index, found, of, within = "") {
    const settled = at.settled?.(index) || {};
    const plain =
      found.default === null || found.default === undefined
        ? "automatic"
        : Array.isArray(found.default)
          ? found.default.join(", ")
          : String(found.default);
    const [text, help] = settled[of]?.[found.name] || [plain, found.help || ""];
    const idle = settled.idle?.[within ? `${within} ${found.name}` : found.name];
    return { text, help: idle ? `No effect here: ${idle}. ${help}` : help, idle: Boolean(idle) };
  }
  /** Update the shown default of an empty field; typed values stay. */
  function tell(label, { text, help, idle }) {
    const input = label.querySelector("input"),
      first = label.querySelector("select option");
    label.title = help;
    label.classList.toggle("idle", idle);
    if (input) input.placeholder = text;
    else first.textContent = `${text} (standard)`;
  }
  const tellers = new WeakMap(); // the label of a field → its update function
  /**
   * The field of one parameter.
   * @param {Lane} lane
   * @param {number} index
   * @param {any} found - the parameter from the catalogue.
   * @param {{ of?: string, own?: any, give?: ((value: any) => void) | null, within?: string }} where - its part of the
   *   lane, the chosen value, and how it is changed.
   * @returns {HTMLElement}
   */
  function field(lane, index, found, { of = "options", own = lane[of] || {}, give = null, within = "" } = {}) {
    const put =
      give ||
      ((value) =>
        change(index, {
          [of]: Object.fromEntries(
            Object.entries({ ...lanes()[index][of], [found.name]: value }).filter(([, kept]) => kept !== ""),
          ),
        }));
    const list = `${of}-${found.name}-${index}`;
    const input =
      found.choices || typeof found.default === "boolean"
        ? h(
            "select",
            {
              "aria-label": found.name,
              onchange: (event) => {
                put(event.target.value);
                if (found.name === "by") paint();
              },
            },
            ["", ...(found.choices || [true, false])].map((value) =>
              h(
                "option",
                { value: String(value), selected: String(own[found.name] ?? "") === String(value) },
                String(value),
              ),
            ),
          )
        : h("input", {
            type: "text",
            value: own[found.name] ?? "",
            "aria-label": found.name,
            list: found.offers ? list : null,
            oninput: (event) => put(event.target.value.trim()),
          });
    const label = h(
      "label",
      {},
      h(
        "span",
        {},
        found.symbol ? h("i", {}, found.symbol) : null,
        found.symbol && found.symbol !== found.name ? ` ${found.name}` : found.symbol ? null : found.name,
      ),
      input,
      found.offers
        ? h(
            "datalist",
            { id: list },
            found.offers.map(([value, text]) => h("option", { value }, text)),
          )
        : null,
    );
    const teller = () => tell(label, standing(index, found, of, within));
    teller();
    tellers.set(label, teller);
    return label;
  }
  /** Update all fields of a card. */
  function settle(element) {
    for (const label of element.querySelectorAll(".fields label")) tellers.get(label)?.();
  }
  /** A prior or a wrapper of the lane's method, by name, and its own settings. */
  function part(lane, index, kind, key, text, none, help) {
    const select = h(
      "select",
      {
        "aria-label": `${text} of lane ${index + 1}`,
        onchange: (event) => {
          change(index, { [key]: event.target.value, [`${key}_options`]: {} });
          paint();
        },
      },
      [["", none], ...(props().catalogue?.[kind] || []).map((found) => [found.name, found.title])]
        .filter(([name]) => name !== "full")
        .map(([name, title]) => {
          const why = refusal(props().catalogue, lane.method, kind, name);
          const selected = name === (lane[key] || "");
          return h("option", { value: name, selected, disabled: Boolean(why), title: why || null }, title);
        }),
    );
    const own = (lane[key] && entry(kind, lane[key])?.fields) || [];
    return [
      h("label", { title: help }, h("span", {}, text), select),
      ...own.map((found) => field(lane, index, found, { of: `${key}_options`, within: lane[key] })),
    ];
  }
  /** The guards after the first, in the order in which they act, and a choice of one more. */
  function then(lane, index) {
    const more = lane.then || [];
    const put = (next) => change(index, { then: next.length ? next : undefined });
    const rows = more.flatMap((guard, place) => [
      h(
        "div",
        { class: "after" },
        h("span", {}, `then ${entry("guards", guard.name)?.title || guard.name}`),
        h(
          "button",
          {
            type: "button",
            "aria-label": `Remove guard ${place + 2} of lane ${index + 1}`,
            onclick: () => {
              put(more.filter((_, i) => i !== place));
              paint();
            },
          },
          "×",
        ),
      ),
      ...(entry("guards", guard.name)?.fields || [])
        .concat(
          entry("guards", guard.name)?.tau
            ? [{ name: "tau", symbol: "τ", default: entry("guards", guard.name).tau }]
            : [],
        )
        .map((found) =>
          field(lane, index, found, {
            of: "then",
            own: guard,
            give: (value) => {
              const next = (lanes()[index].then || []).slice();
              next[place] = Object.fromEntries(
                Object.entries({ ...next[place], [found.name]: value }).filter(([, kept]) => kept !== ""),
              );
              put(next);
            },
          }),
        ),
    ]);
    const select = h(
      "select",
      {
        "aria-label": `A guard after that of lane ${index + 1}`,
        onchange: (event) => {
          if (!event.target.value) return;
          put([...more, { name: event.target.value }]);
          paint();
        },
      },
      [["", "none"], ...(props().catalogue?.guards || []).map((found) => [found.name, found.title])].map(
        ([value, text]) => h("option", { value }, text),
      ),
    );
    const help = "Guards act in the order given. Put REVIVE last, or later guards undo its protection.";
    return lane.guard ? [...rows, h("label", { title: help }, h("span", {}, "then guard"), select)] : [];
  }
  /** All of them, in the order of the card. */
  const settings = (lane, index) => [
    ...(entry("guards", lane.guard)?.fields || []).map((one) => field(lane, index, one, { of: "guard_options" })),
    ...then(lane, index),
    ...entry("methods", lane.method).fields.map((one) => field(lane, index, one)),
    ...part(lane, index, "priors", "prior", "statistics", "full C₀", "What is used as the layer's statistics."),
    ...part(lane, index, "wrappers", "wrapper", "wrapper", "none", "How the method's edit is post-processed."),
  ];
  return { settings, settle };
}
