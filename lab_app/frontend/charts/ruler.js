// A vertical ruler over a plot, moved by pointer or keys, and the values of the lanes at its position.
import { h } from "../shared/dom.js";

const STEP = 0.005,
  LEAP = 0.05;

/**
 * Where a lane was last at a level, by linear interpolation between its points.
 * @param {{ x: number, y: number, round: number, edits: number }[]} points - in the order of rounds.
 * @param {number} level - of x.
 * @returns {{ x: number, y: number, round: number, edits: number } | null} null if it was never there.
 */
export function crossing(points, level) {
  for (let i = points.length - 1; i >= 0; i--) {
    const to = points[i],
      from = points[i - 1];
    if (Math.abs(to.x - level) < 1e-9) return { ...to };
    if (!from || (from.x - level) * (to.x - level) > 0 || from.x === to.x) continue;
    const part = (level - from.x) / (to.x - from.x),
      between = (name) => from[name] + part * (to[name] - from[name]);
    return { x: level, y: between("y"), round: between("round"), edits: between("edits") };
  }
  return null;
}

/**
 * A handle over the line that the plot draws.
 * @param {any} plot - Plotly's element.
 * @param {() => number | null} get - the ruler's position.
 * @param {(value: number) => void} set - called on a move.
 * @param {(value: number) => string} says - a position in words.
 * @returns {() => void} updates the handle's position.
 */
export function handle(plot, get, set, says) {
  const grip = h("div", {
    class: "ruler",
    role: "slider",
    tabindex: "0",
    "aria-label": "Ruler: read the lanes at this efficacy",
    "aria-valuemin": "0",
    "aria-valuemax": "100",
  });
  const axis = () => plot._fullLayout?.xaxis;
  function place() {
    const at = get(),
      x = axis();
    if (at === null || !x) {
      grip.hidden = true;
      return;
    }
    const { _offset: top, _length: height } = plot._fullLayout.yaxis,
      left = x._offset + x.l2p(at);
    // Set once: an element that is hidden loses the focus, also if it is shown again at once.
    grip.hidden = left < x._offset - 1 || left > x._offset + x._length + 1;
    grip.style.left = `${left}px`;
    grip.style.top = `${top}px`;
    grip.style.height = `${height}px`;
    grip.setAttribute("aria-valuenow", String(Math.round(100 * at)));
    grip.setAttribute("aria-valuetext", says(at));
  }
  const move = (value) => {
    set(Math.min(1, Math.max(0, value)));
    place();
  };
  grip.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    grip.focus();
    grip.setPointerCapture(event.pointerId);
    grip.classList.add("dragged");
  });
  grip.addEventListener("pointermove", (event) => {
    if (!grip.hasPointerCapture(event.pointerId)) return;
    const x = axis();
    move(Math.round(x.p2l(event.clientX - plot.getBoundingClientRect().left - x._offset) / STEP) * STEP);
  });
  for (const ends of ["pointerup", "pointercancel"])
    grip.addEventListener(ends, () => grip.classList.remove("dragged"));
  const keys = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageDown: -LEAP, PageUp: LEAP };
  grip.addEventListener("keydown", (event) => {
    const step = keys[event.key];
    if (!step) return;
    event.preventDefault();
    move(get() + step);
  });
  plot.parentElement.append(grip);
  return place;
}
