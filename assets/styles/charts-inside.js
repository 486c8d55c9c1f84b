// The panels that look inside: spectra, subspaces, drift and maps.
Object.assign(EditLab.charts, (() => {
  const lab = EditLab, { h } = lab;
  const { line, facets, axisName, anchor, layer, layerSwitch, inLayer, lanesOf, figure, escape } = lab.charts.parts;
  const decades = (text) => ({ type: "log", tickvals: [1, 10, 100, 1000, 10000], ticktext: ["1", "10", "100", "1,000", "10,000"], title: { text, standoff: 4 } });
  const say = (name, values) => h("div", { class: "number" }, h("span", { class: "name" }, name), h("span", { class: "values" }, values));
  const small = (value) => (value === null || value === undefined ? "–" : Math.abs(value) < 1e-6 ? "0" : Math.abs(value) < 0.005 ? String(Number(value.toPrecision(1))) : value.toFixed(2));

  const energy = {
    begun(model) { if (model.start && lab.run.curves !== model.start.w0) { lab.run.curves = model.start.w0; lab.tell({}); } },
    choices: { scale: "sigma" }, drawsStart: true,
    options: (model, { state }) => [{ name: "scale", label: "Scale", chosen: state.scale, values: [["sigma", "σ"], ["share", "share"]] }, layerSwitch(model)],
    draw(model, view, box, { state }) {
      const number = layer(model), base = (model.start?.w0 || []).find((found) => found.layer === number);
      const scaled = state.scale === "share", traces = [], shapes = [], annotations = [];
      if (base) traces.push({ type: "scatter", mode: "lines", x: base.i, y: base[state.scale], line: { color: lab.css("--base"), width: 5 }, opacity: 0.55,
        hovertemplate: `unedited<br>i = %{x}<br><b>%{y:.3g}</b><extra></extra>` });
      let k = null;
      for (const [lane, rows] of lanesOf(model)) {
        const found = inLayer(lab.at(rows), "spectra", number);
        if (!found) continue;
        k = found.k ?? k;
        traces.push({ type: "scatter", mode: "lines", lane, x: found.i, y: found[state.scale], line: { color: lab.colour(lane), width: 2.2, dash: lab.dash(lane) },
          hovertemplate: `${escape(lane)}<br>i = %{x}<br><b>%{y:.3g}</b><extra></extra>` });
      }
      k ??= model.start?.tau_k?.["0.1"]?.[number] ?? null;
      if (k) {
        shapes.push({ type: "rect", xref: "x", yref: "paper", x0: 1, x1: k, y0: 0, y1: 1, fillcolor: lab.css("--shade"), line: { width: 0 }, layer: "below" });
        annotations.push({ x: Math.log10(k), xref: "x", y: 1, yref: "paper", text: `k = ${k}`, showarrow: false, xanchor: "left", yanchor: "top", xshift: 5,
          font: { color: lab.css("--ink"), size: box.wide ? 15 : 13 } });
      }
      return { traces, revision: number, layout: { shapes, annotations, xaxis: decades("singular value i"),
        yaxis: scaled ? { tickformat: ".0%", rangemode: "tozero", nticks: 5 } : { rangemode: "tozero", nticks: 5 } } };
    },
    table(model) {
      const number = layer(model), rows = [];
      const add = (lane, found) => found?.i.forEach((i, place) => rows.push([lane, number, i, found.sigma[place], found.share[place]]));
      add("unedited", (model.start?.w0 || []).find((found) => found.layer === number));
      for (const [lane, all] of lanesOf(model)) add(lane, inLayer(lab.at(all), "spectra", number));
      return { columns: ["lane", "layer", "i", "sigma", "share_of_energy"], rows };
    },
  };

  const MEASURES = { ls: "LS", ss_right: "SS right", ss_left: "SS left" };
  const similarity = {
    choices: { measure: "ls" },
    options: (model, { state }) => [{ name: "measure", label: "Measure", chosen: state.measure, values: Object.entries(MEASURES) }, layerSwitch(model)],
    draw(model, view, box, { state }) {
      const number = layer(model), { margin, domains } = facets(2, box, { gap: 46 });
      const traces = [], from = (name) => (row) => inLayer(row, "layers", number)?.[name];
      for (const [lane, rows] of lanesOf(model)) {
        traces.push(line(lane, rows, from(state.measure), { format: ".3f", name: MEASURES[state.measure] }));
        traces.push(line(lane, rows, from("drift_right"), { xaxis: "x2", yaxis: "y2", format: ".2g", name: "drift" }));
      }
      const now = (name) => lanesOf(model).map(([lane, rows]) => figure(lane, small(from(name)(lab.at(rows) || {})), name));
      return { traces, revision: number, numbers: [say(`${MEASURES[state.measure]} to W₀`, now(state.measure)), say("Drift inside the block", now("drift_right"))],
        layout: { margin, xaxis: { domain: domains[0], nticks: 4, rangemode: "tozero" }, xaxis2: { domain: domains[1], anchor: "y2", nticks: 4, rangemode: "tozero", matches: "x" },
          yaxis: { range: [-0.03, 1.03], nticks: 5 }, yaxis2: { anchor: "x2", rangemode: "tozero", nticks: 4 } } };
    },
    table(model) {
      const columns = ["dominant_rank", "k", "ls", "ss_right", "ss_left", "ss_right_mean", "ss_left_mean", "drift_right", "drift_left", "frobenius", "change", "delta_frobenius", "removed_share"];
      return { columns: ["lane", "round", "layer", ...columns],
        rows: lanesOf(model).flatMap(([lane, rows]) => rows.flatMap((row) => row.layers.map((found) => [lane, row.round, found.layer, ...columns.map((name) => found[name] ?? null)]))) };
    },
  };

  const drift = {
    choices: {},
    options: (model) => [layerSwitch(model)],
    draw(model) {
      const number = layer(model), traces = [];
      const lanes = lanesOf(model).map(([lane, rows]) => [lane, inLayer(lab.at(rows), "layers", number)]);
      for (const [lane, found] of lanes)
        if (found) traces.push({ type: "scatter", mode: "lines+markers", lane, x: found.k, y: found.rk.map((value) => (value > 0 ? value : null)),
          line: { color: lab.colour(lane), width: 1.5, dash: lab.dash(lane) }, marker: { color: lab.colour(lane), symbol: lab.marker(lane), size: 4.5 },
          hovertemplate: `${escape(lane)}<br>k = %{x}<br>R<sub>k</sub> = <b>%{y:.3g}</b><extra></extra>` });
      return { traces, revision: number, numbers: [say("Directions above 1", lanes.map(([lane, found]) => figure(lane, found ? `${lab.whole(found.rk_over_1)} %` : "–", `median ${small(found?.rk_median)}`))),
        say("Median", lanes.map(([lane, found]) => figure(lane, small(found?.rk_median), "median R_k")))],
        layout: { xaxis: decades("principal direction k"), yaxis: { type: "log", tickvals: [0.001, 0.01, 0.1, 1, 10, 100, 1000], ticktext: ["", ".01", ".1", "1", "10", "100", "1,000"] },
          shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1, line: { color: lab.css("--muted"), width: 1.5, dash: "dot" } }] } };
    },
    table(model) {
      const number = layer(model), rows = [];
      for (const [lane, all] of lanesOf(model)) {
        const row = lab.at(all), found = inLayer(row, "layers", number);
        found?.k.forEach((k, place) => rows.push([lane, row.round, number, k, found.rk[place]]));
      }
      return { columns: ["lane", "round", "layer", "k", "R_k"], rows };
    },
  };

  /** The map on request (t-SNE, UMAP) for a lane, where it is of the round looked at; else the one measured with it. */
  function mapOf(lane, rows, { props, state }) {
    const row = lab.at(rows);
    if (state.method === "pca") return row;
    const asked = (props.asked?.maps || []).find((found) => found.lane === lane && found.method === state.method && found.round === row?.round);
    return asked || null;
  }
  const map = {
    choices: { method: "pca" }, extra: "asked",
    options: (model, { state }) => [{ name: "method", label: "Projection", chosen: state.method, values: [["pca", "PCA"], ["tsne", "t-SNE"], ["umap", "UMAP"]] }],
    choose(name, value, context) {
      context.state.method = value;
      const missing = value !== "pca" && lanesOf(context.model || lab.byLane([])).some(([lane, rows]) => !mapOf(lane, rows, context));
      if (missing) context.trigger("map", { method: value, round: lab.view.round });
      context.redraw();
      return true;
    },
    draw(model, view, box, context) {
      context.model = model;
      const lanes = lanesOf(model), { margin, domains } = facets(Math.max(1, lanes.length), box, { left: 10, right: 10, gap: 18 });
      const traces = [], layout = { margin: { ...margin, t: 24, b: 10 }, annotations: [], height: box.wide ? 520 : 300 };
      const blank = { showticklabels: false, showgrid: false, zeroline: false, linecolor: lab.css("--hair"), mirror: true, showline: true };
      lanes.forEach(([lane, rows], i) => {
        const found = mapOf(lane, rows, context), names = { xaxis: anchor("x", i), yaxis: anchor("y", i) };
        layout[axisName("x", i)] = { ...blank, domain: domains[i], anchor: anchor("y", i), matches: i ? "x" : undefined };
        layout[axisName("y", i)] = { ...blank, anchor: anchor("x", i), matches: i ? "y" : undefined };
        layout.annotations.push({ text: escape(lane) + (found ? "" : " · not drawn yet"), xref: "paper", yref: "paper", x: domains[i][0], y: 1, yshift: 2, xanchor: "left", yanchor: "bottom", showarrow: false,
          font: { color: lab.colour(lane), size: box.wide ? 15 : 13 } });
        if (!found) return;
        const step = { x: [], y: [] };
        found.x.forEach((x, j) => { step.x.push(found.x0[j], x, null); step.y.push(found.y0[j], found.y[j], null); });
        traces.push({ type: "scatter", mode: "lines", ...step, ...names, line: { color: lab.colour(lane), width: 1 }, opacity: 0.35, hoverinfo: "skip" },
          { type: "scatter", mode: "markers", x: found.x0, y: found.y0, ...names, hoverinfo: "skip", marker: { size: 5, color: "rgba(0,0,0,0)", line: { width: 1.2, color: lab.css("--base") } } },
          { type: "scatter", mode: "markers", lane, facts: found.fact, x: found.x, y: found.y, ...names,
            text: found.fact.map((fact) => (fact < 0 ? "an unedited fact" : `fact ${fact + 1}`)), hovertemplate: "%{text}<extra></extra>",
            marker: { size: 6, symbol: lab.marker(lane), color: found.fact.map((fact) => (fact < 0 ? lab.css("--base") : lab.colour(lane))) } });
      });
      const waiting = context.props.asked?.message;
      return { traces, layout, revision: context.state.method, numbers: waiting ? [h("p", { class: "notice" }, waiting)] : [] };
    },
    table(model, view, context) {
      const rows = [];
      for (const [lane, all] of lanesOf(model)) {
        const found = mapOf(lane, all, context);
        found?.x.forEach((x, i) => rows.push([lane, found.round, found.method, found.fact[i], found.x0[i], found.y0[i], x, found.y[i]]));
      }
      return { columns: ["lane", "round", "method", "fact", "x_before", "y_before", "x", "y"], rows };
    },
  };
  return { energy, similarity, drift, map };
})());
