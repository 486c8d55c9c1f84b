// The card of one lane: a method, a guard with its threshold, a colour and the method's settings.
// `at`: { lanes(), change(index, change), paint(), colour(index), remove(index) or null }, of the form it stands in; where
// that asks for it also settled(index), the defaults that hold, and beware(index), what is to be said of the lane.
import { h } from "../shared/dom.js";
import { SLOTS } from "../shared/lanes.js";
import { run } from "../shared/state.js";

/**
 * Makes cards of lanes.
 * @param {() => Record<string, any>} props - `catalogue`: methods, guards, priors and wrappers; `curves`, `problems`.
 * @param {{ lanes(): Lane[], change(index: number, change: object): void, paint(): void, colour(index: number): number,
 *   remove: ((index: number) => void) | null, settled?(index: number): any, beware?(index: number): string }} at - the form
 *   that the cards stand in: its lanes, their defaults that hold, and what is to be said of each.
 * @returns {{ card(lane: Lane, index: number): HTMLElement, label(lane: Lane): string, known(kind: string, name?: string): any,
 *   settle(element: Element): void }} a lane's card, its name, what the catalogue has under a name, and a card's defaults anew.
 */
export function laneCard(props, at) {
  const { lanes, change, paint } = at;
  const known = (kind, name) => (props().catalogue?.[kind] || []).find((found) => found.name === name);

  /** The name that the lane will wear: what the person gave it, or method + guard. */
  const label = (lane) =>
    lane.name ||
    [
      known("methods", lane.method)?.title || lane.method,
      lane.guard ? known("guards", lane.guard)?.title || lane.guard : null,
      ...(lane.then || []).map(({ name }) => known("guards", name)?.title || name),
    ]
      .filter(Boolean)
      .join(" + ");

  const halfToEven = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
  /** How many directions a share τ of the energy (or of their number) is, per layer: read off the spectra of W0 that a
      run began with. */
  function ranks(tau, by) {
    const curves = run.curves || props().curves || [];
    return curves.length
      ? curves.map(({ layer, i, share }) => {
          if (by === "count") return [layer, Math.max(1, halfToEven(tau * i.at(-1)))];
          const after = share.findIndex((value) => value >= tau - 1e-9);
          if (after <= 0) return [layer, after ? i.at(-1) : 1];
          const part = (tau - share[after - 1]) / (share[after] - share[after - 1]);
          return [layer, Math.max(1, Math.ceil(i[after - 1] + part * (i[after] - i[after - 1]) - 1e-6))];
        })
      : null;
  }
  function tauSays(lane) {
    const by = lane.guard_options?.by || "energy";
    const found = ranks(lane.tau ?? known("guards", lane.guard)?.tau ?? 0.1, by);
    if (!found)
      return by === "count"
        ? "protects this share of the singular directions, the first ones"
        : "protects the first singular directions that hold this share of the energy";
    const same = new Set(found.map(([, k]) => k)).size === 1;
    const ks = same ? found[0][1] : found.map(([, k]) => k).join(", ");
    return `protects k = ${ks} directions in layers ${found.map(([layer]) => layer).join(", ")}`;
  }
  /** A field's default as it holds with the lane's prior, wrapper and model, and what is to be known of it. */
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
  /** Say anew what holds where nothing is typed; what is being typed stays. */
  function tell(label, { text, help, idle }) {
    const input = label.querySelector("input"),
      first = label.querySelector("select option");
    label.title = help;
    label.classList.toggle("idle", idle);
    if (input) input.placeholder = text;
    else first.textContent = `${text} (standard)`;
  }
  const tellers = new WeakMap(); // the label of a field → how it is told anew
  /**
   * The field of one parameter.
   * @param {Lane} lane
   * @param {number} index
   * @param {any} found - the parameter, as the catalogue has it.
   * @param {{ of?: string, own?: any, give?: ((value: any) => void) | null, within?: string }} where - the part of the lane that
   *   it belongs to, what is chosen there, and how it is changed.
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
  /** Tell all fields of a card anew. */
  function settle(element) {
    for (const label of element.querySelectorAll(".fields label")) tellers.get(label)?.();
  }
  /** Whether a guard cannot act before something is said in its settings. */
  const needs = (guard) => {
    const fields = known("guards", guard)?.fields || [];
    return fields.length > 0 && fields[0].default === null;
  };
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
        .map(([name, title]) => h("option", { value: name, selected: name === (lane[key] || "") }, title)),
    );
    const own = (lane[key] && known(kind, lane[key])?.fields) || [];
    return [
      h("label", { title: help }, h("span", {}, text), select),
      ...own.map((found) => field(lane, index, found, { of: `${key}_options`, within: lane[key] })),
    ];
  }
  /** The guards that follow the first, in the order in which they act, and one more to choose. */
  function then(lane, index) {
    const more = lane.then || [];
    const put = (next) => change(index, { then: next.length ? next : undefined });
    const rows = more.flatMap((guard, place) => [
      h(
        "div",
        { class: "after" },
        h("span", {}, `then ${known("guards", guard.name)?.title || guard.name}`),
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
      ...(known("guards", guard.name)?.fields || [])
        .concat(
          known("guards", guard.name)?.tau
            ? [{ name: "tau", symbol: "τ", default: known("guards", guard.name).tau }]
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
    const help = "Guards act in the order given: REVIVE last, or what it keeps is not kept.";
    return lane.guard ? [...rows, h("label", { title: help }, h("span", {}, "then guard"), select)] : [];
  }
  /** Where a lane begins that does not begin with the unedited model, and the facts that it leaves out. */
  function begins(lane) {
    const said = [
      lane.from ? `from round ${lane.from.round} of ${lane.from.lane}` : null,
      lane.without?.length
        ? `without ${lane.without.length === 1 ? "fact" : "facts"} ${lane.without.map((i) => i + 1).join(", ")}`
        : null,
    ].filter(Boolean);
    return said.length ? h("p", { class: "begins", dir: "auto" }, said.join(", ")) : null;
  }
  function card(lane, index) {
    const guard = known("guards", lane.guard),
      method = known("methods", lane.method);
    const tau = guard?.tau !== undefined && guard?.tau !== null;
    const says = h("p", { class: "k" }, tau ? tauSays(lane) : "");
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
        says.textContent = tauSays(lanes()[index]);
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
        ].map(([name, text]) => h("option", { value: name, selected: name === value }, text)),
      );
    const name = label(lane),
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
        select("methods", lane.method, null, (method) => change(index, { method, options: {} })),
        h("span", { "aria-hidden": "true" }, "+"),
        select("guards", lane.guard || "", "no guard", (guard) =>
          change(index, { guard, tau: known("guards", guard)?.tau ?? null, guard_options: {}, open: needs(guard) }),
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
      begins(lane),
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
                { title: "What this lane is called in the plots" },
                h("span", {}, "name"),
                h("input", {
                  type: "text",
                  dir: "auto",
                  value: lane.name || "",
                  placeholder: name,
                  oninput: (event) => change(index, { name: event.target.value }),
                }),
              ),
              (guard?.fields || []).map((found) => field(lane, index, found, { of: "guard_options" })),
              then(lane, index),
              method.fields.map((found) => field(lane, index, found)),
              part(lane, index, "priors", "prior", "statistics", "full C₀", "What stands for the layer's statistics."),
              part(lane, index, "wrappers", "wrapper", "wrapper", "none", "What is made of the method's edit."),
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
  return { card, label, known, settle };
}
