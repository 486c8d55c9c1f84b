// Look closer: studies by their question, and those that were asked for: they wait, go on, or have found something.
EditLab.kinds.studies = ({ element, props, watch, trigger }) => {
  const lab = EditLab,
    { h } = lab;
  const find = (selector) => element.querySelector(selector);
  const list = find(".questions"),
    form = find(".asking"),
    note = find(".note"),
    results = find(".results");
  const studies = () => props.catalogue || [];
  const about = (name) => studies().find((study) => study.name === name);
  const choice = { name: studies()[0]?.name, lanes: null, rounds: {}, options: {} };
  const { paint: paintForm, asked, begun, looked, lookedAt, written } = lab.studyForm(form, choice, about);
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

  function fill(id) {
    const held = cards.get(id);
    if (!held || held.drawn) return;
    held.drawn = true;
    lab.studyFound(held.body, id, found.get(id), run);
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
