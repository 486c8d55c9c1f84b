// A panel: a plot that keeps its zoom while it grows, the same numbers as a table, and ways to save them.
EditLab.kinds.panel = ({ element, props, watch, trigger }, key) => {
  const CALM = 250, // ms between two drawings that nobody asked for
    SHARE = 10; // and at least so many times what the last one took
  const lab = EditLab,
    { h, view } = lab;
  const chart = lab.charts[key];
  const read = lab.reader();
  const section = element.querySelector(".panel");
  const find = (selector) => section.querySelector(selector);
  const plot = find(".plot"),
    numbers = find(".numbers"),
    choices = find(".choices"),
    table = find(".as-table");
  const taken = find(".protocol").textContent,
    promise = find(".empty").textContent;
  const state = { ...chart.choices };
  const context = { state, props, trigger, redraw: () => ask(true) };
  let model = lab.byLane([]),
    dirty = true,
    visible = false,
    asked = 0,
    ended = -1e9,
    cost = 0,
    drawn = false,
    settling = false;

  const filled = () =>
    [...model.lanes.values()].some((rows) => rows.length) || Boolean(model.start && chart.drawsStart);

  /** Draw soon: at once when a person asked for it, else so seldom that drawing takes a small part of the time. */
  function ask(urgent = false) {
    dirty = true;
    if (!visible && !urgent) return settle();
    if (asked && !urgent) return;
    clearTimeout(asked);
    const rest = urgent ? cost : Math.max(CALM, SHARE * cost);
    asked = setTimeout(() => requestAnimationFrame(draw), Math.max(0, ended + rest - performance.now())) || 1;
  }

  /** What nobody looks at is drawn once all the same, when there is nothing else to do: then it has its height, and the
   * page does not grow under who scrolls. */
  function settle() {
    if (settling || drawn || !filled()) return;
    settling = true;
    (window.requestIdleCallback || setTimeout)(() => {
      settling = false;
      if (!drawn) ask(true);
    });
  }

  function draw() {
    asked = 0;
    if (!dirty || !window.Plotly) return;
    const began = performance.now();
    if (!filled()) {
      if (drawn) {
        Plotly.purge(plot);
        drawn = false;
      }
      numbers.replaceChildren();
      choices.replaceChildren();
      return;
    }
    dirty = false;
    const box = { width: plot.clientWidth || 320, wide: section.classList.contains("is-wide") };
    if (!table.hidden) return fill();
    if (box.width < 40) {
      dirty = true;
      return;
    }
    const figure = chart.draw(model, view, box, context);
    numbers.replaceChildren(...(figure.numbers || []));
    if (figure.columns) numbers.style.setProperty("--columns", figure.columns);
    numbers.classList.toggle("many", figure.columns > 4);
    paintChoices();
    const layout = lab.layout(
      figure.layout,
      box,
      `${view.run} ${key} ${JSON.stringify(state)} ${figure.revision || ""}`,
    );
    Plotly.react(plot, figure.traces, layout, { displayModeBar: false, responsive: false, doubleClick: "reset" });
    if (!drawn) {
      drawn = true;
      plot.on("plotly_click", clicked);
    }
    ended = performance.now();
    cost = ended - began;
  }

  function clicked(event) {
    const place = event.points[0],
      round = place.data.rounds?.[place.pointIndex];
    if (round !== undefined) lab.tell({ round: round === Math.max(...lab.run.measured) ? null : round });
    const fact = place.data.facts?.[place.pointIndex];
    if (fact >= 0) lab.fact?.(fact);
    trigger("point_click", {
      panel: key,
      round: round ?? view.round,
      lane: place.data.lane ?? null,
      index: place.pointIndex,
      fact: place.data.facts?.[place.pointIndex] ?? null,
    });
  }

  /** Small switches above a plot: which numbers, which layer. */
  function paintChoices() {
    const groups = chart.options ? chart.options(model, context) : [];
    const wanted = JSON.stringify([groups, state, view.layer]);
    if (choices.dataset.painted === wanted) return;
    choices.dataset.painted = wanted;
    choices.replaceChildren(
      ...groups.map(({ name, label, values, chosen }) =>
        values.length > 5
          ? h(
              "select",
              { "aria-label": label, onchange: (event) => pick(name, values[event.target.selectedIndex][0]) },
              values.map(([value, text]) => h("option", { selected: value === chosen }, text)),
            )
          : h(
              "div",
              { class: "switch", role: "group", "aria-label": label },
              values.map(([value, text]) =>
                h(
                  "button",
                  {
                    type: "button",
                    "aria-pressed": String(value === chosen),
                    onclick: () => chart.choose?.(name, value, context) ?? pick(name, value),
                  },
                  text,
                ),
              ),
            ),
      ),
    );
  }
  function pick(name, value) {
    if (name === "layer") return lab.tell({ layer: value });
    state[name] = value;
    ask(true);
  }

  function fill() {
    const { columns, rows } = chart.table(model, view, context);
    table.replaceChildren(...lab.table(columns, rows));
  }
  function csv() {
    const { columns, rows } = chart.table(model, view, context);
    lab.save(`${key}.csv`, lab.csv(columns, rows));
  }
  const actions = {
    table(button) {
      table.hidden = !table.hidden;
      button.setAttribute("aria-pressed", String(!table.hidden));
      find(".canvas").hidden = !table.hidden;
      if (table.hidden) ask(true);
      else fill();
    },
    wide() {
      section.classList.toggle("is-wide");
      element.closest(".lab-widget").classList.toggle("is-wide");
      ask(true);
    },
    png: () => picture("png"),
    svg: () => picture("svg"),
    csv,
  };
  async function picture(format) {
    const paper = lab.css("--card");
    await Plotly.relayout(plot, { paper_bgcolor: paper });
    await Plotly.downloadImage(plot, {
      format,
      filename: `edit-lab-${key}`,
      scale: format === "png" ? 2 : 1,
      width: Math.max(640, plot.clientWidth),
      height: Math.max(360, plot.clientHeight),
    });
    Plotly.relayout(plot, { paper_bgcolor: "rgba(0,0,0,0)" });
  }
  section.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) {
      actions[button.dataset.do](button);
      button.closest("details.save")?.removeAttribute("open");
    }
  });

  const update = () => {
    model = lab.byLane(read(props.value));
    section.classList.toggle("has-data", filled());
    find(".protocol").textContent = [taken, chart.protocol?.(model)].filter(Boolean).join("; ");
    find(".empty").textContent = chart.lacks?.(model) || promise;
    chart.begun?.(model);
    ask();
  };
  watch("value", update);
  if (chart.extra) watch(chart.extra, () => ask(true));
  lab.listen((change) => ask(visible && ("round" in change || "layer" in change)));
  new IntersectionObserver(
    (entries) => {
      visible = entries.at(-1).isIntersecting;
      if (visible) ask();
    },
    { rootMargin: "200px" },
  ).observe(section);
  new ResizeObserver(() => ask()).observe(plot);
  lab.whenPlotly(() => ask());
  update();
};

/** Rows to read: a table, and a word where there are more of them than are shown. `link(column, value)` gives a cell that
 * is a button its attributes. */
EditLab.table = (columns, rows, link = () => null) => {
  const MOST = 1000;
  const { h } = EditLab;
  const cell = (value) =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : (value ?? "–");
  const line = (row) =>
    row.map((value, i) => {
      const button = link(columns[i], value),
        text = String(cell(value));
      return h("td", { dir: "auto" }, button ? h("button", { type: "button", ...button }, text) : text);
    });
  const head = columns.map((name) => h("th", { scope: "col" }, name));
  const body = rows.slice(0, MOST).map((row) => h("tr", {}, line(row)));
  const found = [h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body))];
  if (rows.length > MOST) {
    const counts = [MOST, rows.length].map((count) => count.toLocaleString("en"));
    found.push(h("p", { class: "wanted" }, `The first ${counts[0]} of ${counts[1]} rows; saved as CSV are all of them.`));
  }
  return found;
};

/** Rows as CSV that a spreadsheet reads as values, never as formulas. */
EditLab.csv = (columns, rows) => {
  const quote = (value) => {
    let text = String(value ?? "");
    if (typeof value === "string" && /^[=+\-@\t]/.test(text)) text = `'${text}`;
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${[columns, ...rows].map((row) => row.map(quote).join(",")).join("\n")}\n`;
};

/** The page's one Plotly template: axes, type and colours from the style sheet. */
EditLab.layout = (layout, box, revision) => {
  const { css } = EditLab;
  const font = { family: css("--sans"), size: box.wide ? 15 : 12.5, color: css("--muted") };
  const axis = {
    gridcolor: css("--hair"),
    linecolor: css("--line"),
    zeroline: false,
    ticks: "",
    automargin: false,
    tickfont: font,
    fixedrange: false,
  };
  const merged = {
    autosize: false,
    width: box.width,
    height: box.wide ? 460 : 216,
    showlegend: false,
    uirevision: revision,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font,
    hovermode: "closest",
    dragmode: "zoom",
    margin: { l: 40, r: 12, t: 8, b: 34 },
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { ...font, color: css("--ink") } },
    ...layout,
  };
  for (const name of Object.keys(merged))
    if (/^[xy]axis\d*$/.test(name)) {
      merged[name] = { ...axis, ...merged[name] };
      if (merged[name].title) merged[name].title = { ...merged[name].title, font };
    }
  return merged;
};

EditLab.whenPlotly = (then) => {
  if (window.Plotly) return then();
  const timer = setInterval(() => {
    if (window.Plotly) {
      clearInterval(timer);
      then();
    }
  }, 50);
};
