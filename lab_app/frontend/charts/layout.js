// What all charts share: the template, and Plotly itself.
import { css } from "../shared/dom.js";

/**
 * The page's one Plotly template: axes, type and colours from the style sheet.
 * @param {Record<string, any>} layout - what is particular to this plot.
 * @param {Box} box
 * @param {string} revision - while it stays the same, so do zoom and selection.
 * @returns {Record<string, any>}
 */
export function plotLayout(layout, box, revision) {
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
  /** @type {Record<string, any>} */
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
}

/**
 * Call `then` once Plotly has arrived.
 * @param {() => void} then
 */
export function whenPlotly(then) {
  if (window.Plotly) {
    then();
    return;
  }
  const timer = setInterval(() => {
    if (window.Plotly) {
      clearInterval(timer);
      then();
    }
  }, 50);
}
