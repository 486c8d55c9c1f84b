// The card of one lane: a method, a guard with its threshold, a colour and the method's settings.
// `at`: { lanes(), change(index, change), paint(), colour(index), remove(index) or null }, of the form it stands in.
EditLab.laneCard = (props, at) => {
  const lab = EditLab,
    { h } = lab;
  const { lanes, change, paint } = at;
  const known = (kind, name) => (props().catalogue?.[kind] || []).find((found) => found.name === name);

  /** The name that the lane will wear: what the person gave it, or method + guard. */
  const label = (lane) =>
    lane.name ||
    [
      known("methods", lane.method)?.title || lane.method,
      lane.guard ? known("guards", lane.guard)?.title || lane.guard : null,
    ]
      .filter(Boolean)
      .join(" + ");

  const halfToEven = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
  /** How many directions a share τ of the energy (or of their number) is, per layer: read off the spectra of W0 that a
      run began with. */
  function ranks(tau, by) {
    const curves = lab.run.curves || props().curves || [];
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
  function field(lane, index, found, of = "options") {
    const own = lane[of] || {};
    const give = (value) =>
      change(index, {
        [of]: Object.fromEntries(
          Object.entries({ ...lanes()[index][of], [found.name]: value }).filter(([, kept]) => kept !== ""),
        ),
      });
    const standard =
      found.default === null || found.default === undefined
        ? "automatic"
        : Array.isArray(found.default)
          ? found.default.join(", ")
          : String(found.default);
    const input =
      found.choices || typeof found.default === "boolean"
        ? h(
            "select",
            { "aria-label": found.name, onchange: (event) => give(event.target.value) },
            [
              ["", `${standard} (standard)`],
              ...(found.choices || [true, false]).map((value) => [String(value), String(value)]),
            ].map(([value, text]) => h("option", { value, selected: String(own[found.name] ?? "") === value }, text)),
          )
        : h("input", {
            type: "text",
            value: own[found.name] ?? "",
            placeholder: standard,
            "aria-label": found.name,
            oninput: (event) => give(event.target.value.trim()),
          });
    return h(
      "label",
      { title: found.help || "" },
      h(
        "span",
        {},
        found.symbol ? h("i", {}, found.symbol) : null,
        found.symbol && found.symbol !== found.name ? ` ${found.name}` : found.symbol ? null : found.name,
      ),
      input,
    );
  }
  /** Whether a guard cannot act before something is said in its settings. */
  const needs = (guard) => {
    const fields = known("guards", guard)?.fields || [];
    return fields.length > 0 && fields[0].default === null;
  };
  /** A prior or a wrapper of the lane's method, by name; its own settings are for specs. */
  function part(lane, index, kind, key, text, none, help) {
    const select = h(
      "select",
      { "aria-label": `${text} of lane ${index + 1}`, onchange: (event) => change(index, { [key]: event.target.value }) },
      [["", none], ...(props().catalogue?.[kind] || []).map((found) => [found.name, found.title])]
        .filter(([name]) => name !== "full")
        .map(([name, title]) => h("option", { value: name, selected: name === (lane[key] || "") }, title)),
    );
    return h("label", { title: help }, h("span", {}, text), select);
  }
  /** Where a lane begins that does not begin with the unedited model, and the facts that it leaves out. */
  function begins(lane) {
    const said = [
      lane.from ? `from round ${lane.from.round} of ${lane.from.lane}` : null,
      lane.without?.length ? `without ${lane.without.length === 1 ? "fact" : "facts"} ${lane.without.map((i) => i + 1).join(", ")}` : null,
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
              const next = (colour % lab.SLOTS) + 1;
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
            onclick: () => at.remove(index),
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
              (guard?.fields || []).map((found) => field(lane, index, found, "guard_options")),
              method.fields.map((found) => field(lane, index, found)),
              part(lane, index, "priors", "prior", "statistics", "full C₀", "What stands for the layer's statistics."),
              part(lane, index, "wrappers", "wrapper", "wrapper", "none", "What is made of the method's edit."),
            ),
          )
        : null,
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
  return { card, label, known };
};
