// The only module that calls Plotly: drawing, pictures, and the template that all plots share.
import { css } from "../shared/dom.js";

/** Axes, fonts and colours from the style sheet; a plot's own settings override them. While `revision` is the same, the
 * zoom is kept. */
function template(layout, box, revision, size) {
  const font = { family: css("--sans"), size: size || (box.wide ? 15 : 12.5), color: css("--muted") };
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
    showlegend: false,
    uirevision: revision,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font,
    hovermode: "closest",
    dragmode: "zoom",
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
 * Whether plots can be drawn already.
 * @returns {boolean}
 */
export const ready = () => Boolean(window.Plotly);

/**
 * Call `then` as soon as plots can be drawn.
 * @param {() => void} then
 */
export function whenReady(then) {
  if (ready()) {
    then();
    return;
  }
  const timer = setInterval(() => {
    if (!ready()) return;
    clearInterval(timer);
    then();
  }, 50);
}

/**
 * Draw into an element, or redraw. `font`: another font size.
 * @param {any} element
 * @param {{ traces: any[], layout: Record<string, any> }} picture
 * @param {Box} box
 * @param {string} revision - zoom and selection are kept while it is the same.
 * @param {{ font?: number, still?: boolean }} options - `font`: another font size; `still`: no zoom.
 * @returns {Promise<unknown>}
 */
export function put(element, { traces, layout }, box, revision, { font = 0, still = false } = {}) {
  const config = { displayModeBar: false, responsive: false, ...(still ? {} : { doubleClick: "reset" }) };
  return window.Plotly.react(element, traces, template(layout, box, revision, font), config);
}

/**
 * Remove what was drawn into an element.
 * @param {any} element
 */
export function clear(element) {
  window.Plotly.purge(element);
}

const sizeOf = (plot) => ({ width: Math.max(640, plot.clientWidth), height: Math.max(360, plot.clientHeight) });

/**
 * Download a picture of a plot, "png" or "svg".
 * @param {any} plot
 * @param {string} format - "png" or "svg".
 * @param {string} filename
 * @returns {Promise<void>}
 */
export async function download(plot, format, filename) {
  await window.Plotly.relayout(plot, { paper_bgcolor: css("--card") });
  await window.Plotly.downloadImage(plot, { format, filename, scale: format === "png" ? 2 : 1, ...sizeOf(plot) });
  window.Plotly.relayout(plot, { paper_bgcolor: "rgba(0,0,0,0)" });
}

/**
 * A plot as SVG.
 * @param {any} plot
 * @returns {Promise<string>}
 */
export async function asSvg(plot) {
  const layout = { ...plot.layout, paper_bgcolor: css("--card") };
  const address = await window.Plotly.toImage({ data: plot.data, layout }, { format: "svg", ...sizeOf(plot) });
  return decodeURIComponent(address.slice(address.indexOf(",") + 1));
}
