// The choice of a layer, shared by all panels. A method may edit other layers in each round.
import { shown } from "../shared/lanes.js";
import { run } from "../shared/state.js";

/** The shown lanes that have edited a layer. */
const editing = (number) => shown().filter((lane) => run.moved[lane]?.includes(number));

/**
 * The lanes that did not edit a layer, as a note after its number.
 * @param {number} number
 * @returns {string}
 */
export function leftAlone(number) {
  const begun = shown().filter((lane) => run.moved[lane]?.length),
    others = begun.filter((lane) => !editing(number).includes(lane));
  if (!others.length) return "";
  if (others.length === begun.length) return ", not edited";
  return `, not by ${others.length === 1 ? others[0] : `${others.length} lanes`}`;
}

/**
 * The layer to show: the chosen one, else the last of the layers in which most lanes can be compared.
 * @param {number[]} layers
 * @param {number | null} chosen
 * @returns {number | undefined}
 */
export function layerOf(layers, chosen) {
  if (chosen !== null && layers.includes(chosen)) return chosen;
  const most = Math.max(...layers.map((number) => editing(number).length));
  return layers.filter((number) => editing(number).length === most).at(-1);
}
