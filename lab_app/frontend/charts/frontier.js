// The frontier: a ruler compares lanes at equal efficacy, and a sweep below it adds lanes.
import { reach } from "./axes.js";
import { laneText } from "./figures.js";
import * as ruler from "./ruler.js";
import * as sweep from "./sweep.js";
import { optionsOf } from "./select.js";
import { css, h } from "../shared/dom.js";
import { view } from "../shared/state.js";

const whole = (share) => `${(100 * share).toFixed(1).replace(/\.0$/, "")} %`;

/** Points of a series as the ruler reads them. */
const points = ({ rows, y }, x) =>
  rows.map((row) => ({ x: row[x], y: row[y], round: row.round, edits: row.edits, value: row.value }));

/** The highest efficacy that every lane has reached: the ruler's default position. */
function level(ways) {
  const tops = ways.filter(({ way }) => way.length).map(({ way }) => Math.max(...way.map(({ x }) => x)));
  return tops.length ? Math.floor(200 * Math.min(...tops) + 1e-9) / 200 : null;
}

/** The table beside the plot: what is preserved at the ruler's position. */
function readings({ at, ways, families, kept, controls, box }) {
  if (at === null) return box.replaceChildren();
  const reading = (way, says) => {
    const found = ruler.crossing(way, at);
    if (found) return h("td", {}, h("b", {}, whole(found.y)), h("span", {}, says(found)));
    if (!way.length) return h("td", {}, h("span", {}, "not measured yet"));
    const more = way.every(({ x }) => x > at);
    return h("td", {}, "never reached", h("span", {}, `always ${more ? "above" : "below"}`));
  };
  const row = (head, cells) => h("tr", {}, h("th", { scope: "row" }, head), cells);
  const mark = (lane) => (controls.includes(lane) ? h("i", { class: "control", title: "a control" }, "☆") : null);
  const edits = ({ edits: count, round }) =>
    `${Math.round(count).toLocaleString("en")} edits, round ${Number(round.toFixed(1))}`;
  box.replaceChildren(
    h("caption", {}, "At efficacy ", h("b", {}, whole(at)), `, preserved of ${kept}:`),
    h(
      "tbody",
      {},
      ways.map(({ lane, way }) =>
        row(h("span", { class: "lane" }, laneText(lane, lane, kept), mark(lane)), reading(way, edits)),
      ),
      families.map(({ family, way }) =>
        row(
          h("span", { class: "family" }, `over ${family}`),
          reading(
            way.map((point) => ({ ...point, round: point.value })),
            (found) => `at ${Number(found.round.toPrecision(2))}, latest round`,
          ),
        ),
      ),
    ),
  );
}

/** The other parts of the panel, made once: the ruler's handle and the sweep. */
function furnish(context) {
  const { section, canvas } = context;
  const form = sweep.form(
    () => context.started,
    (payload) => context.trigger("sweep", payload),
  );
  section.querySelector(".why").before(form.element);
  const place = ruler.handle(
    canvas,
    () => context.read.at,
    (value) => {
      context.moved = value;
      context.read.at = value;
      readings(context.read);
      context.redraw();
    },
    (at) => `efficacy ${whole(at)}`,
  );
  let listening = false;
  context.furnished = () => {
    if (!listening && canvas.on) {
      canvas.on("plotly_afterplot", place);
      listening = true;
    }
    place();
    form.paint();
    if (context.props.asked !== context.answered) form.answered(context.props.asked);
    context.answered = context.props.asked;
  };
}

export const frontier = {
  heads(figure, data, now, context) {
    const [{ chart, series, lines }] = figure.cells,
      { plot } = context.props,
      controls = (data.rows.controls || []).map(({ lane }) => lane);
    const until = (row) => now.round === null || row.round <= now.round;
    const ways = now.lanes
      .filter((lane) => data.lanes.includes(lane))
      .map((lane) => {
        const own = series.find((one) => one.lane === lane && !one.family);
        return { lane, way: own ? points({ ...own, rows: own.rows.filter(until) }, chart.x) : [] };
      });
    const families = series
      .filter((one) => one.family)
      .map((one) => ({ family: one.family, way: points(one, chart.x) }));
    if (context.run !== view.run) context.moved = undefined;
    context.run = view.run;
    context.started = data.start;
    const at = context.moved ?? level(ways),
      kept = optionsOf(plot.choices[0], plot, data).find(([key]) => key === now.picks.kept)?.[1];
    context.read = { at, ways, families, kept, controls, box: h("table", { class: "readings" }) };
    readings(context.read);
    const { xaxis, yaxis, shapes } = figure.layout;
    if (at !== null) {
      const all = series.flatMap((one) => one.rows);
      xaxis.range = reach([...all.map((row) => row[chart.x]), at]);
      yaxis.range = reach([...all.map((row) => row[chart.y]), ...lines.map(({ value }) => value)]);
      const line = { color: css("--accent"), width: 2 };
      shapes.unshift({ type: "line", xref: "x", yref: "y domain", x0: at, x1: at, y0: 0, y1: 1, line });
    }
    figure.revision = `${xaxis.range} ${yaxis.range}`;
    return [context.read.box];
  },
  after(context) {
    if (!context.furnished) furnish(context);
    requestAnimationFrame(() => context.furnished());
  },
};
