// What all parts of the page share: which run, which round, which layer; colours; and how parts are mounted.
// Text that people typed is only ever set with textContent (h() below), never as markup.
window.EditLab = (() => {
  const view = { run: "", round: null, layer: null, hidden: new Set() };
  const run = { lanes: [], layers: {}, rounds: 0, facts: 0, model: {}, measured: [], edits: {}, moved: {} };
  const listeners = new Set();
  const kinds = {},
    chosen = {}; // chosen: what the form says that no spec holds
  const SLOTS = 6;
  const MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "x"];
  const DASHES = ["solid", "solid", "dash", "dot", "dashdot", "longdash"];

  /** An element with attributes and children; strings become text, never markup. */
  function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "value" || name === "disabled" || name === "checked") element[name] = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
  }

  /** Tell every part that what is looked at has changed. */
  const tell = (change = {}) => {
    Object.assign(view, change);
    listeners.forEach((listener) => listener(change));
  };
  const listen = (listener) => listeners.add(listener);

  /** All rows of a feed, each parsed once. A value holds the latest ones by number; where one is missing between them
   * and those that are here (the page slept), or rows are numbered anew, all are asked for again. */
  function reader() {
    let rows = [],
      from = "";
    return (value) => {
      const feed = `${value?.run} ${value?.feed}`,
        latest = Object.entries(value?.rows || {}).map(([number, row]) => [Number(number), row]);
      if (feed !== from) [rows, from] = [[], feed];
      latest.sort((a, b) => a[0] - b[0]);
      if (latest.length && latest[0][0] > rows.length) tell({ missed: true });
      for (const [number, row] of latest) if (number === rows.length) rows.push(JSON.parse(row));
      return rows;
    };
  }

  /** The rows of a feed by lane, in the order of their rounds. */
  function byLane(rows) {
    const model = { start: null, lanes: new Map() };
    for (const row of rows) {
      if (row.start) {
        model.start = row;
        for (const lane of row.lanes) model.lanes.set(lane, []);
        continue;
      }
      if (!model.lanes.has(row.lane)) model.lanes.set(row.lane, []);
      model.lanes.get(row.lane).push(row);
    }
    return model;
  }

  /** The row that a lane shows at the round looked at: that round's, or the nearest one before it. */
  function at(rows, round = view.round) {
    if (!rows.length) return null;
    if (round === null) return rows[rows.length - 1];
    let found = null;
    for (const row of rows) if (row.round <= round) found = row;
    return found;
  }

  /** Prompts that the next run is asked at every measured round: they travel with its lanes, whose form holds them. */
  const saved = (next) => {
    if (next && chosen.probes) chosen.probes(next);
    return chosen.probes?.() || [];
  };

  const dark = () => document.body.classList.contains("dark");
  const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

  /** The slots (1..6) of so many lanes' colours: as chosen in this browser, else the one that the fewest of the lanes
   * before wear. So lanes that come later change the colour of none. */
  function slots(count) {
    const found = [],
      worn = Array(SLOTS + 1).fill(0);
    for (let place = 0; place < count; place++) {
      const fewest = worn.indexOf(Math.min(...worn.slice(1)), 1);
      found.push(run.colours?.[place] || fewest);
      worn[found[place]] += 1;
    }
    return found;
  }
  const slot = (lane) => slots(Math.max(0, run.lanes.indexOf(lane)) + 1).at(-1);
  /** Beyond six lanes a colour comes again, with another mark and dash. */
  const kind = (lane, kinds) => {
    const place = Math.max(0, run.lanes.indexOf(lane));
    return kinds[(place + Math.floor(place / SLOTS)) % SLOTS];
  };
  /** Colours of a run are kept in this browser; they change nothing that is measured. */
  function colours(id, chosen) {
    const key = `editlab:colours:${id}`;
    if (chosen) localStorage.setItem(key, JSON.stringify(chosen));
    run.colours = JSON.parse(localStorage.getItem(key) || "null");
  }
  const colour = (lane) => css(`--lane-${slot(lane)}`);
  const marker = (lane) => kind(lane, MARKERS);
  const dash = (lane) => kind(lane, DASHES);
  const shown = () => run.lanes.filter((lane) => !view.hidden.has(lane));

  /** Another run on this page: its id goes into the address, so that a reload or a friend finds it again. */
  function opened(id) {
    if (!id || id === view.run) return;
    Object.assign(run, { lanes: [], layers: {}, rounds: 0, measured: [], edits: {}, moved: {} });
    view.hidden.clear();
    const address = new URL(location.href),
      started = address.searchParams.get("run") !== id;
    colours(id, started && chosen.colours);
    if (started) {
      address.searchParams.set("run", id);
      history.replaceState(history.state, "", address);
    }
    tell({ run: id, round: null, layer: null });
  }

  /** Hide the experiment, or show it. */
  function fold(folded) {
    document.body.classList.toggle("folded", folded);
    tell({});
  }

  function mount(kind, context) {
    const [name, key] = kind.split(":");
    kinds[name](context, key);
  }

  const percent = (share) =>
    share === null || share === undefined ? "–" : `${(100 * share).toFixed(share > 0.995 || share < 0.0005 ? 0 : 1)} %`;
  const whole = (share) => (share === null || share === undefined ? "–" : `${Math.round(100 * share)}`);

  /** Hand the person a file made here. */
  function save(name, text, type = "text/csv;charset=utf-8") {
    const link = h("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // Light or dark: as the system says, as the address says (?__theme=), or as was chosen here before.
  const kept = localStorage.getItem("editlab:theme");
  const forced = new URL(location.href).searchParams.has("__theme");
  if (kept && !forced) document.body.classList.toggle("dark", kept === "dark");
  const classes = { attributes: true, attributeFilter: ["class"] };
  new MutationObserver(() => tell({})).observe(document.body, classes);
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll(".lab-widget details.save[open], .lab-widget details.menu[open]"))
      if (!open.contains(event.target)) open.open = false;
  });

  return {
    view,
    run,
    kinds,
    chosen,
    h,
    tell,
    listen,
    reader,
    byLane,
    at,
    dark,
    css,
    slot,
    slots,
    colours,
    colour,
    marker,
    dash,
    shown,
    opened,
    saved,
    fold,
    mount,
    percent,
    whole,
    save,
    SLOTS,
  };
})();
