// The header with its lanes, and the dock: where the run stands, what is left, and the scrubber of rounds.
EditLab.kinds.dock = ({ element, props, watch, trigger }) => {
  const lab = EditLab, { h, view, run } = lab;
  const read = lab.reader();
  const find = (selector) => element.querySelector(selector);
  const range = find("input[type=range]"), label = find(".at"), live = find(".live"), bar = find(".bar i"), says = find(".says"), left = find(".left"), play = find(".play");
  const notices = find(".notices");
  let timer = 0, last = Date.now();

  function take() {
    const value = props.value || {};
    last = Date.now();
    if (value.run && value.run !== view.run) {
      // On a phone the run that an address names comes first, not the form of the next one.
      if (matchMedia("(max-width: 780px)").matches && new URL(location.href).searchParams.get("run") === value.run) lab.fold(true);
      lab.opened(value.run);
    }
    const before = run.measured.length, rounds = new Set(), edits = {};
    for (const row of read(value)) {
      if (row.start) Object.assign(run, { lanes: row.lanes, layers: row.layers, rounds: row.rounds, facts: row.facts, model: row.model });
      else { rounds.add(row.round); edits[row.round] = row.edits ?? edits[row.round] ?? 0; }
    }
    run.measured = [...rounds].sort((a, b) => a - b);
    run.edits = edits;
    if (run.measured.length !== before) lab.tell({ rounds: true });
    paint();
  }

  function paint() {
    const state = props.value?.state || {}, rounds = run.measured;
    element.querySelector(".dock").dataset.status = state.status || "none";
    range.max = Math.max(0, rounds.length - 1);
    range.disabled = rounds.length < 2;
    const round = view.round ?? rounds.at(-1) ?? 0;
    range.value = Math.max(0, rounds.findLastIndex((number) => number <= round));
    range.style.setProperty("--done", `${run.rounds ? (100 * (rounds.at(-1) || 0)) / run.rounds : 100}%`);
    range.setAttribute("aria-valuetext", `round ${round} of ${run.rounds}`);
    label.replaceChildren(...(!rounds.length ? [] : !round ? ["Before any edit"]
      : [`Round ${round} of ${run.rounds}`, h("span", {}, ` · ${(run.edits[round] ?? 0).toLocaleString("en")} edits`)]));
    live.hidden = rounds.length < 2;
    live.setAttribute("aria-pressed", String(view.round === null));
    live.textContent = state.status === "running" ? "Live" : "Latest";
    play.hidden = rounds.length < 2;
    const phase = [state.lane, state.round ? `round ${state.round}` : null, state.phase].filter(Boolean).join(" · ");
    const waiting = state.status === "queued" ? (state.position > 1 ? `waiting, ${state.position - 1} before it` : "waiting for the worker") : null;
    says.textContent = state.message || (state.status === "running" ? phase || "starting" : waiting || state.says || "No run yet. Choose facts on the left, then press Run.");
    says.title = state.doing || "";
    left.textContent = !state.left ? "" : state.left === "a moment" ? "a moment left" : `about ${state.left} left`;
    bar.style.width = `${100 * (state.status === "done" ? 1 : state.whole ?? (run.rounds ? (rounds.at(-1) || 0) / run.rounds : 0))}%`;
    const all = [...(state.notice ? [{ message: state.notice, level: "warn" }] : []), ...(state.warnings || [])];
    notices.replaceChildren(...all.slice(-2).map((found) => h("p", { class: `notice ${found.level}` },
      [found.lane, found.round ? `round ${found.round}` : null].filter(Boolean).join(", ") + (found.lane ? ": " : "") + found.message)));
  }

  range.addEventListener("input", () => {
    const round = run.measured[Number(range.value)];
    lab.tell({ round: round === run.measured.at(-1) ? null : round });
  });
  live.addEventListener("click", () => { stop(); lab.tell({ round: null }); });
  function stop() { clearInterval(timer); timer = 0; play.textContent = "▶"; play.setAttribute("aria-label", "Play the rounds"); }
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "❚❚"; play.setAttribute("aria-label", "Hold");
    let place = Number(range.value) >= run.measured.length - 1 ? 0 : Number(range.value);
    timer = setInterval(() => {
      if (place >= run.measured.length) return stop();
      const round = run.measured[place++];
      lab.tell({ round: round === run.measured.at(-1) ? null : round });
    }, Math.max(250, Math.min(900, 12000 / run.measured.length)));
  });
  // A page that slept, or whose connection broke, hears nothing any more: then it asks to be fed again.
  const stale = () => { if (view.run && Date.now() - last > 20000) { last = Date.now(); trigger("again"); } };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) stale(); });
  window.addEventListener("online", stale);
  setInterval(stale, 5000);
  lab.listen(paint);
  watch("value", take);
  take();
};

// Which line is whose: the lanes by colour and mark; a click hides one everywhere.
EditLab.kinds.header = ({ element, props, watch }) => {
  const lab = EditLab, { h, run, view } = lab;
  const legend = element.querySelector(".legend"), facts = element.querySelector(".facts"), runs = element.querySelector(".runs");
  function paint() {
    legend.replaceChildren(...run.lanes.map((lane) => h("button", { type: "button", class: `lane slot-${lab.slot(lane)}`, dir: "auto",
      "aria-pressed": String(!view.hidden.has(lane)), title: "Show or hide this lane",
      onclick: () => { view.hidden.has(lane) ? view.hidden.delete(lane) : view.hidden.add(lane); lab.tell({}); } },
      h("i", { class: `dot ${lab.marker(lane)}`, "aria-hidden": "true" }), lane)),
      ...(run.lanes.length ? [h("span", { class: "lane base" }, h("i", { class: "dot circle" }), "unedited")] : []));
    const model = run.model || {};
    facts.textContent = run.lanes.length ? [model.reference, model.parameters ? `${(model.parameters / 1e6).toFixed(model.parameters < 1e9 ? 1 : 0)}M parameters` : null,
      `${(run.facts || 0).toLocaleString("en")} facts`].filter(Boolean).join(" · ") : "";
    const list = props.value?.runs || [];
    fold.setAttribute("aria-pressed", String(document.body.classList.contains("folded")));
    runs.closest("details").hidden = !list.length;
    runs.replaceChildren(...list.map((found) => h("a", { href: `?run=${encodeURIComponent(found.id)}`, dir: "auto", "aria-current": String(found.id === view.run) },
      h("b", {}, found.title), h("span", {}, `${found.says} · ${new Date(found.created * 1000).toLocaleString()}`))));
  }
  element.querySelector("[data-do=theme]").addEventListener("click", () => {
    const dark = !lab.dark();
    document.body.classList.toggle("dark", dark);
    localStorage.setItem("editlab:theme", dark ? "dark" : "light");
  });
  const fold = element.querySelector("[data-do=fold]");
  fold.addEventListener("click", () => lab.fold(!document.body.classList.contains("folded")));
  lab.listen(paint);
  watch("value", paint);
  paint();
};
