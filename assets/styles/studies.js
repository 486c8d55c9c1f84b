// Look closer: studies by their question, what to make them of, those that wait or go on, and what they found.
EditLab.kinds.studies = ({ element, props, watch, trigger }) => {
  const lab = EditLab,
    { h } = lab;
  const find = (selector) => element.querySelector(selector);
  const list = find(".questions"),
    form = find(".asking"),
    note = find(".note"),
    results = find(".results");
  const SOME = 5; // rounds, evenly, where a study is about how something goes on
  const studies = () => props.catalogue || [];
  const about = (name) => studies().find((study) => study.name === name);
  const begun = () => lab.run.measured.length > 0;
  const choice = { name: studies()[0]?.name, lanes: null, rounds: {}, options: {} };
  const found = new Map(), // by study, once it was fetched
    open = new Set(),
    cards = new Map(),
    wanted = []; // studies to be fetched, one at a time
  let run = "",
    painted = "",
    expected = null;

  // -- which study

  function paintList() {
    const groups = [...new Set(studies().map((study) => study.group))];
    list.replaceChildren(
      ...groups.flatMap((group) => [
        h("h3", {}, group),
        ...studies()
          .filter((study) => study.group === group)
          .map((study) =>
            h(
              "button",
              {
                type: "button",
                "aria-pressed": String(study.name === choice.name),
                "data-study": study.name,
                onclick: () => {
                  choice.name = study.name;
                  note.textContent = "";
                  paintChosen();
                },
              },
              lab.symbols(study.question),
            ),
          ),
      ]),
    );
  }
  function paintChosen() {
    for (const button of list.querySelectorAll("button"))
      button.setAttribute("aria-pressed", String(button.dataset.study === choice.name));
    paintForm();
  }

  // -- what it is made of

  const looked = () => lab.view.round ?? lab.run.measured.at(-1) ?? 0;
  const lookedAt = () => (begun() ? `the one looked at (${looked()})` : "the one looked at");
  function someRounds() {
    const known = lab.run.measured,
      last = known.length - 1;
    const picked = [...Array(SOME).keys()].map((i) => known[Math.round((i * last) / (SOME - 1))]);
    return [...new Set(picked)].join(",");
  }
  /** How rounds are chosen for this study: as a person chose them, or as suits its question. */
  const roundsOf = (study) => choice.rounds[study.name] ?? { how: study.rounds === "several" ? "some" : "this", text: null };
  function asked(study) {
    const { how, text } = roundsOf(study);
    if (study.rounds === "none") return "last";
    return how === "this" ? String(looked()) : how === "all" ? "all" : (text ?? someRounds());
  }
  /** Which values an option may have. */
  function range({ name, symbol, kind, ge, gt, le, lt, optional }) {
    const low = ge !== undefined ? [ge, "≤"] : gt !== undefined ? [gt, "<"] : null,
      high = le !== undefined ? `≤ ${le}` : lt !== undefined ? `< ${lt}` : "";
    const limits = low && high ? `${low.join(" ")} ${symbol || name} ${high}` : low ? `${low[1] === "≤" ? "≥" : ">"} ${low[0]}` : high;
    return [kind === "layers" ? "numbers with commas" : limits, optional ? "may be empty" : ""].filter(Boolean).join("; ");
  }
  const written = (value) => (Array.isArray(value) ? value.join(", ") : (value ?? ""));
  /** What was typed as the option's kind. What is no number is sent as it is: the answer says what is wrong with it. */
  function read({ kind, optional }, text) {
    if (kind === "bool") return text === "true";
    if (text === "" && (optional || kind !== "str")) return null;
    const number = (part) => (part.trim() !== "" && Number.isFinite(Number(part)) ? Number(part) : part);
    if (kind === "layers") return text.split(",").map(number);
    return kind === "str" ? text : number(text);
  }
  function field(study, option) {
    const own = (choice.options[study.name] ??= {}),
      value = option.name in own ? own[option.name] : (option.default ?? null);
    const give = (text) => (own[option.name] = read(option, text));
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
    const limits = range(option);
    return h(
      "label",
      {},
      h("span", { class: "name" }, label),
      input,
      h("span", { class: "help" }, lab.symbols(option.help), limits ? h("span", {}, ` (${limits})`) : null),
    );
  }
  function paintForm() {
    const study = about(choice.name);
    if (!study) return;
    const lanes = lab.run.lanes,
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
            paintForm();
            form.querySelector(".rounds [aria-pressed=true]").focus();
          },
        },
        text,
      );
    form.replaceChildren(
      h("h3", {}, lab.symbols(study.title)),
      h("p", { class: "from" }, study.source),
      lanes.length > 1
        ? h(
            "fieldset",
            { class: "of-lanes" },
            h("legend", {}, "Lanes"),
            lanes.map((lane) =>
              h(
                "label",
                { class: `slot-${lab.slot(lane)}` },
                h("input", {
                  type: "checkbox",
                  checked: taken(lane),
                  onchange: (event) => {
                    const kept = new Set(lanes.filter(taken));
                    kept[event.target.checked ? "add" : "delete"](lane);
                    choice.lanes = kept.size === lanes.length ? null : [...kept];
                  },
                }),
                h("i", { class: `dot ${lab.marker(lane)}`, "aria-hidden": "true" }),
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
            h(
              "div",
              { class: "switch" },
              how("this", lookedAt()),
              how("some", "some"),
              how("all", "all"),
            ),
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
        h("span", {}, begun() ? "" : "There is no measured round to look at yet."),
      ),
    );
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const study = about(choice.name);
    note.textContent = "asking…";
    note.classList.remove("error");
    trigger("ask", {
      name: study.name,
      lanes: choice.lanes ?? lab.run.lanes,
      rounds: asked(study),
      options: choice.options[study.name] || {},
    });
  });

  // -- those that were asked for

  const wears = (study) => {
    const standard = Object.fromEntries((about(study.name)?.options || []).map((one) => [one.name, one.default ?? null]));
    const own = Object.entries(study.options || {}).filter(
      ([name, value]) => JSON.stringify(value ?? null) !== JSON.stringify(standard[name] ?? null),
    );
    const rounds =
      about(study.name)?.rounds === "none"
        ? null
        : study.rounds === "all" ? "all rounds" : study.rounds === "last" ? "the last round" : `round${/,/.test(study.rounds) ? "s" : ""} ${study.rounds.replaceAll(",", ", ")}`;
    return [
      (study.lanes || lab.run.lanes).join(", "),
      rounds,
      ...own.map(([name, value]) => `${name} ${written(value) === "" ? "automatic" : written(value)}`),
    ]
      .filter(Boolean)
      .join(" · ");
  };
  const when = (created) =>
    new Date(1000 * created).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

  /** The card of a study: made once, its head painted anew. */
  function card(study) {
    if (!cards.has(study.id)) {
      const body = h("div", { class: "found", hidden: true });
      const root = h("article", { class: "study", "data-id": study.id }, h("div", { class: "head" }), body);
      cards.set(study.id, { root, body, head: root.firstChild, drawn: false, said: "" });
    }
    const held = cards.get(study.id),
      going = study.status === "queued" || study.status === "running",
      said = JSON.stringify([study, open.has(study.id), lab.run.lanes]);
    if (held.said === said) return held.root;
    const focused = held.head.contains(document.activeElement) ? document.activeElement.dataset.do : null;
    held.said = said;
    held.root.dataset.status = study.status;
    const title = lab.symbols(about(study.name)?.title || study.name);
    const ready = study.status === "done";
    const button = (name, text, act, extra = {}) => h("button", { type: "button", "data-do": name, onclick: act, ...extra }, text);
    const parts = [
      h(
        "div",
        { class: "line" },
        ready
          ? button("open", h("span", {}, title), () => toggle(study.id), { "aria-expanded": String(open.has(study.id)), class: "title" })
          : h("b", { class: "title" }, title),
        h("span", { class: "when" }, when(study.created)),
        going ? button("stop", "Stop", () => trigger("stop", { study: study.id })) : null,
        going ? null : button("again", "Again…", () => again(study), { title: "Take these choices into the form" }),
        going ? null : button("forget", "Delete", (event) => forget(event.currentTarget, study.id)),
      ),
      h("p", { class: "wears", dir: "auto" }, wears(study)),
      ready
        ? null
        : h(
            "p",
            { class: "says" },
            h("span", { dir: "auto" }, study.message || study.says),
            study.left ? h("span", { class: "left" }, study.left === "a moment" ? "a moment left" : `about ${study.left} left`) : null,
          ),
      going ? h("div", { class: "bar" }, h("i", { style: `width:${100 * (study.part || 0)}%` })) : null,
    ];
    held.head.replaceChildren(...parts.filter(Boolean));
    if (focused) held.head.querySelector(`[data-do="${focused}"]`)?.focus();
    held.body.hidden = !open.has(study.id);
    return held.root;
  }
  /** Ask once more before what was found is deleted. */
  function forget(button, id) {
    if (button.dataset.sure) return trigger("forget", { study: id });
    button.dataset.sure = "1";
    button.textContent = "Delete it?";
    button.addEventListener("blur", () => {
      delete button.dataset.sure;
      button.textContent = "Delete";
    }, { once: true });
  }
  function again(study) {
    Object.assign(choice, { name: study.name, lanes: study.lanes });
    choice.rounds[study.name] = ["all"].includes(study.rounds) ? { how: "all", text: null } : { how: "some", text: study.rounds };
    choice.options[study.name] = { ...study.options };
    paintChosen();
    form.scrollIntoView({ block: "center" });
    form.querySelector("button, input, select")?.focus({ preventScroll: true });
  }
  function toggle(id, shown = !open.has(id)) {
    open[shown ? "add" : "delete"](id);
    paintResults();
    if (shown) want(id);
  }

  // -- what they found

  function want(id) {
    if (found.has(id)) return fill(id);
    const held = cards.get(id);
    held.body.replaceChildren(h("p", { class: "empty" }, "Fetching what it found…"));
    if (!wanted.includes(id)) wanted.push(id);
    if (wanted.length === 1) trigger("fetch", { study: id });
  }
  function fetched() {
    const got = props.found || {};
    if (got.id === undefined || wanted[0] !== got.id) return;
    wanted.shift();
    if (!got.message) found.set(got.id, got);
    if (cards.has(got.id)) got.message ? cards.get(got.id).body.replaceChildren(h("p", { class: "empty" }, got.message)) : fill(got.id);
    if (wanted.length) trigger("fetch", { study: wanted[0] });
  }
  /** One chart with its tools, as the panels have them. */
  function panel(id, result, chart, place) {
    const key = `${result.study}-${id}-${place + 1}`;
    lab.charts[key] = lab.studyChart(chart, result.tables[chart.table]);
    const tool = (name, text, extra = {}) => h("button", { type: "button", "data-do": name, ...extra }, text);
    const section = h(
      "section",
      { class: "panel", "aria-label": chart.title },
      h(
        "header",
        {},
        h("h3", {}, lab.symbols(chart.title)),
        h(
          "div",
          { class: "tools" },
          tool("table", "Table", { title: "Read as a table", "aria-pressed": "false" }),
          h("details", { class: "save" }, h("summary", { title: "Save this chart" }, "Save"), h("div", {}, tool("png", "PNG"), tool("svg", "SVG"), tool("csv", "CSV"))),
          tool("wide", "⤢", { title: "Enlarge", "aria-label": "Enlarge" }),
        ),
      ),
      h("p", { class: "protocol" }, lab.symbols(chart.kind === "heat" ? `${chart.y_title}, by ${chart.x_title || chart.x}` : chart.y_title)),
      h("div", { class: "choices" }),
      h("div", { class: "numbers" }),
      h("div", { class: "canvas" }, h("div", { class: "plot" }), h("p", { class: "empty" }, "")),
      h("div", { class: "as-table", hidden: true }),
    );
    const holder = h("div", { class: "holder" }, section);
    const start = JSON.stringify({ start: true, lanes: [] });
    const value = { run, feed: key, rows: { 0: start } };
    return [holder, () => lab.kinds.panel({ element: holder, props: { value }, watch() {}, trigger() {} }, key)];
  }
  /** Facts in a table open their card; those of ripples are facts that were left alone. */
  const linked = (result) => (column, value) =>
    column === "fact" && Number.isInteger(value) && value >= 0
      ? { "data-fact": value, "data-unedited": result.study === "ripple", title: "Look at this fact" }
      : null;
  function tableOf(id, result, name) {
    const { columns, values, rows } = result.tables[name];
    const lists = values.map((list) => (Array.isArray(list) ? list : list.at.map((at) => (at === null ? null : list.words[at]))));
    const all = (lists[0] || []).map((_, i) => lists.map((list) => list[i]));
    const holder = h("div", { class: "as-table" });
    return h(
      "details",
      { class: "table", ontoggle: (event) => event.target.open && !holder.firstChild && holder.append(...lab.table(columns, all, linked(result))) },
      h("summary", {}, `${name.replaceAll("_", " ")} `, h("span", {}, `${rows.toLocaleString("en")} row${rows === 1 ? "" : "s"}`)),
      h("button", { type: "button", class: "csv", onclick: () => lab.save(`${result.study}-${id}-${name}.csv`, lab.csv(columns, all)) }, "Save as CSV"),
      holder,
    );
  }
  function fill(id) {
    const held = cards.get(id),
      result = found.get(id);
    if (!held || held.drawn) return;
    held.drawn = true;
    const filled = (name) => result.tables[name]?.rows > 0;
    const charts = result.charts.filter((chart) => filled(chart.table)).map((chart, i) => panel(id, result, chart, i));
    const tables = Object.keys(result.tables).filter(filled);
    const seconds = result.seconds === undefined ? null : `${result.seconds < 10 ? result.seconds.toFixed(1) : Math.round(result.seconds)} s`;
    held.body.replaceChildren(
      h("p", { class: "asks" }, lab.symbols(result.question)),
      h("div", { class: "charts" }, charts.map(([holder]) => holder)),
      h("div", { class: "tables" }, tables.map((name) => tableOf(id, result, name))),
      h("p", { class: "small" }, lab.symbols(result.protocol || "")),
      ...(result.notes || []).map((one) => h("p", { class: "small", dir: "auto" }, lab.symbols(one))),
      h("p", { class: "small" }, [`After: ${result.source}`, result.model, seconds && `measured in ${seconds}`].filter(Boolean).join(" · ")),
    );
    charts.forEach(([, mount]) => mount());
  }

  function paintResults() {
    const value = props.value || {},
      all = value.run === lab.view.run ? value.studies || [] : [];
    const there = new Set(all.map((study) => study.id));
    for (const id of [...cards.keys()])
      if (!there.has(id)) {
        cards.get(id).root.remove();
        for (const map of [cards, found, open]) map.delete(id);
      }
    const done = all.find((study) => study.id === expected && study.status !== "queued" && study.status !== "running");
    if (done) {
      expected = null;
      if (done.status === "done") {
        open.add(done.id);
        card(done);
        want(done.id);
      }
    }
    const roots = all.map(card);
    if (roots.some((root, i) => results.children[i] !== root)) results.replaceChildren(...roots);
    if (value.notice) note.textContent = value.notice;
    else if (note.textContent === painted) note.textContent = "";
    painted = value.notice || painted;
  }
  function take() {
    if (lab.view.run !== run) {
      run = lab.view.run;
      Object.assign(choice, { lanes: null, rounds: {} });
      for (const map of [cards, found, open]) map.clear();
      wanted.length = 0;
      results.replaceChildren();
    }
    paintResults();
  }
  watch("value", take);
  watch("found", fetched);
  watch("told", () => {
    const told = props.told || {};
    note.textContent = told.message || "";
    note.classList.toggle("error", Boolean(told.wrong));
    if (told.study) expected = told.study;
    paintResults();
  });
  let seen = "";
  lab.listen(() => {
    const now = JSON.stringify([lab.view.run, looked(), lab.run.lanes, begun(), lab.run.lanes.map(lab.slot)]);
    if (now === seen) return;
    seen = now;
    take();
    const label = form.querySelector("[data-how=this]");
    if (!form.contains(document.activeElement)) paintForm();
    else if (label) label.textContent = lookedAt();
  });
  paintList();
  paintForm();
  take();
};
