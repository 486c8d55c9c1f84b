// The charts of lessons: few series, large type, so that they can be read from the back of a room.
import { isDark } from "../shared/theme.js";
import { plotLayout, whenPlotly } from "../charts/layout.js";
import { css, h } from "../shared/dom.js";

/**
 * The chart of a lesson.
 * @param {Part} figure - where it is drawn.
 * @param {any} chart
 * @param {[string, number][]} series - their names and slots of colours.
 * @returns {(rows: any[], shownOf: string) => void} draws what a run has given so far.
 */
export function lessonChart(figure, chart, series) {
  const FONT = 16,
    TALL = 330, // px, where the style sheet says nothing else
    LETTER = 9.2, // px of a letter of a category's name
    MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "x"],
    DASHES = ["solid", "dash", "dot", "dashdot"];
  const plot = figure.querySelector(".plot"),
    legend = figure.querySelector(".legend");
  const slots = new Map(series);
  let rows = [],
    revision = "",
    painted = "";

  const escape = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("%{", "% {");
  const known = (value) => value !== null && value !== undefined;
  const names = () => {
    const found = new Set(rows.map((row) => row[chart.by]));
    return chart.by ? [...series.map(([name]) => name).filter((name) => found.has(name))] : [null];
  };
  const slot = (name) => slots.get(name) ?? 2;
  const colour = (name) => css(slot(name) ? `--lane-${slot(name)}` : "--base");
  const marker = (name) => MARKERS[place(name) % MARKERS.length];
  const place = (name) =>
    Math.max(
      0,
      series.findIndex(([known]) => known === name),
    );

  /** A category's name in lines that fit below its bars. */
  function lines(text) {
    const letters = (plot.clientWidth - 72) / Math.max(1, new Set(rows.map((row) => row[chart.x])).size) / LETTER;
    const found = [""];
    for (const word of String(text).split(" "))
      if (found.at(-1) && `${found.at(-1)} ${word}`.length > letters) found.push(word);
      else found[found.length - 1] = `${found.at(-1)} ${word}`.trim();
    return found.map(escape).join("<br>");
  }
  const hatched = () => ({ shape: "/", fillmode: "overlay", fgcolor: css("--card"), solidity: 0.25 });
  const rule = () => ({ color: css("--muted"), width: 1.5, dash: "dot" });
  const shares = !chart.log_y;
  const value = shares ? "%{y:.1%}" : "%{y:.3g}";

  function trace(name, own) {
    const common = {
      name: name ?? "",
      x: own.map((row) => (chart.kind === "bar" ? lines(row[chart.x]) : row[chart.x])),
      y: own.map((row) => row[chart.y]),
      hovertemplate: `${name ? `${escape(name)}<br>` : ""}%{x}<br><b>${value}</b><extra></extra>`,
    };
    if (chart.kind === "bar")
      return {
        ...common,
        type: "bar",
        marker: { color: colour(name), pattern: slot(name) ? {} : hatched() },
        text: chart.text ? own.map((row) => escape(row[chart.text])) : undefined,
        textposition: chart.y_low ? "inside" : "outside",
        insidetextanchor: "start",
        textangle: 0,
        cliponaxis: false,
        textfont: { size: FONT, color: css(chart.y_low ? "--card" : "--ink") },
        error_y: chart.y_low
          ? {
              array: own.map((row) => row[chart.y_high] - row[chart.y]),
              arrayminus: own.map((row) => row[chart.y] - row[chart.y_low]),
              color: css("--muted"),
              thickness: 1.6,
              width: 5,
            }
          : undefined,
      };
    return {
      ...common,
      type: "scatter",
      mode: "lines+markers",
      line: { color: colour(name), width: 3, dash: DASHES[place(name) % DASHES.length] },
      marker: { color: colour(name), symbol: marker(name), size: own.length > 30 ? 5 : 9 },
    };
  }

  function layout(width) {
    const axis = (title, extra) => ({ title: title ? { text: escape(title), standoff: 8 } : undefined, ...extra });
    const tall = Number(getComputedStyle(figure).getPropertyValue("--tall")) || TALL;
    const down = (row) => lines(row[chart.x]).split("<br>").length;
    const wrapped = chart.kind === "bar" ? Math.max(1, ...rows.map(down)) : 1;
    const made = plotLayout(
      {
        height: tall,
        margin: { l: 58, r: 14, t: 22, b: (chart.x_title ? 36 : 6) + 23 * wrapped },
        barmode: "group",
        bargap: 0.28,
        bargroupgap: 0.06,
        dragmode: false,
        xaxis: axis(chart.x_title, {
          type: chart.kind === "bar" ? "category" : chart.log_x ? "log" : "linear",
          tickangle: 0,
          fixedrange: true,
          ...(chart.kind === "bar" ? { showgrid: false } : { nticks: 6, tickformat: "," }),
          ...(chart.log_x ? { tickvals: [1, 10, 100, 1000], ticktext: ["1", "10", "100", "1,000"] } : {}),
        }),
        yaxis: axis("", {
          fixedrange: true,
          ...(shares
            ? {
                range: [0, Math.max(1.04, ...rows.map((row) => row[chart.y_high] ?? row[chart.y] ?? 0))],
                tickvals: [0, 0.25, 0.5, 0.75, 1],
                ticktext: ["0", "25", "50", "75", "100 %"],
              }
            : {
                type: "log",
                tickvals: [1e-4, 0.01, 1, 100, 1e4, 1e6, 1e8],
                ticktext: ["0.0001", "0.01", "1", "100", "10⁴", "10⁶", "10⁸"],
              }),
        }),
        annotations: known(chart.line)
          ? [
              {
                text: escape(chart.line_label),
                xref: "paper",
                x: 1,
                xanchor: "right",
                y: chart.log_y ? Math.log10(chart.line) : chart.line,
                yanchor: "bottom",
                showarrow: false,
                font: { size: FONT, color: css("--muted") },
              },
            ]
          : [],
        shapes: known(chart.line)
          ? [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: chart.line, y1: chart.line, line: rule() }]
          : [],
      },
      { width, wide: true },
      revision,
    );
    for (const name of ["xaxis", "yaxis"]) {
      made[name].tickfont = { ...made[name].tickfont, size: FONT };
      if (made[name].title) made[name].title.font = { ...made[name].title.font, size: FONT };
    }
    return made;
  }

  function draw() {
    if (!window.Plotly || !plot.clientWidth) return;
    const wanted = JSON.stringify([rows, revision, plot.clientWidth, isDark()]);
    if (wanted === painted) return;
    painted = wanted;
    figure.classList.toggle("has-data", rows.length > 0);
    legend?.replaceChildren();
    if (!rows.length) return Plotly.purge(plot);
    const shown = names();
    if (shown.length > 1)
      legend?.replaceChildren(
        ...shown.map((name) =>
          h(
            "span",
            { class: slot(name) ? `slot-${slot(name)}` : "base" },
            h("i", { class: `dot ${chart.kind === "bar" ? "square" : marker(name)}`, "aria-hidden": "true" }),
            name,
          ),
        ),
      );
    const traces = shown.map((name) =>
      trace(
        name,
        rows.filter((row) => !chart.by || row[chart.by] === name),
      ),
    );
    Plotly.react(plot, traces, layout(plot.clientWidth), { displayModeBar: false, responsive: false });
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", `${chart.title}: ${shown.filter(known).join(", ")}`);
  }
  new ResizeObserver(draw).observe(plot);
  whenPlotly(draw);

  return (all, shownOf) => {
    rows = all.filter((row) => row.table === chart.table && known(row[chart.y]));
    revision = shownOf;
    draw();
  };
}
