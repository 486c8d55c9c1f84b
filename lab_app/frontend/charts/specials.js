// What some panels have besides their plot: curves that are used elsewhere, maps on request, the ruler.
import { frontier } from "./frontier.js";
import { withBlocks } from "./tables.js";
import { run, tell, view } from "../shared/state.js";
import { css } from "../shared/dom.js";

/** The cards of lanes show what τ means on the spectra of the unedited model. */
const energy = {
  begun(data) {
    const curves = data.start?.blocks?.filter(({ table }) => table === "spectra");
    if (!curves?.length || run.curves === curves || run.told === data.start) return;
    Object.assign(run, { curves, told: data.start });
    tell({});
  },
};

/** t-SNE and UMAP are computed on request; a ring marks the fact whose card was opened last. */
const map = {
  data: (data, { props }) =>
    withBlocks(
      data,
      (props.asked?.maps || []).filter(({ table }) => table),
    ),
  picked(name, value, data, context) {
    const known = map.data(data, context).rows.map || [];
    const rounds = data.lanes.map((lane) => [lane, known.filter((row) => row.lane === lane && row.method === "pca")]);
    const there = ([lane, own]) => {
      const round = own.filter((row) => view.round === null || row.round <= view.round).at(-1)?.round;
      return known.some((row) => row.lane === lane && row.round === round && row.method === value);
    };
    if (value !== "pca" && !rounds.every(there)) context.trigger("map", { method: value, round: view.round });
  },
  heads(figure, data, now, { props }) {
    const fact = view.fact ?? -1;
    for (const trace of figure.traces.filter(({ facts }) => fact >= 0 && facts?.includes(fact))) {
      const here = trace.facts.flatMap((one, i) => (one === fact ? [i] : []));
      figure.traces.push({
        type: "scatter",
        mode: "markers",
        x: here.map((i) => trace.x[i]),
        y: here.map((i) => trace.y[i]),
        xaxis: trace.xaxis,
        yaxis: trace.yaxis,
        hoverinfo: "skip",
        marker: { size: 15, symbol: "circle-open", color: css("--ink"), line: { width: 2.5 } },
      });
    }
    const empty = figure.cells.filter(({ series }) => !series.length).map(({ lanes }) => lanes[0]);
    for (const one of figure.layout.annotations)
      if (empty.some((lane) => one.text.startsWith(lane))) one.text += " · not drawn yet";
    const notice = document.createElement("p");
    notice.className = "notice";
    notice.textContent = props.asked?.message || "";
    return notice.textContent ? [notice] : [];
  },
};

export const SPECIALS = { energy, map, frontier };
