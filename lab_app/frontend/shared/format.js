// Numbers and symbols for readers.

/**
 * A share in per cent with one decimal, without decimals at 0 and 100; a dash if not measured.
 * @param {number | null | undefined} share
 * @returns {string}
 */
export const percent = (share) =>
  share === null || share === undefined ? "–" : `${(100 * share).toFixed(share > 0.995 || share < 0.0005 ? 0 : 1)} %`;

/**
 * A share in whole per cent, without the sign.
 * @param {number | null | undefined} share
 * @returns {string}
 */
export const whole = (share) => (share === null || share === undefined ? "–" : `${Math.round(100 * share)}`);

/**
 * Symbols with subscripts, such as the 0 of W_0.
 * @param {string} text
 * @returns {string}
 */
export function symbols(text) {
  /** @type {Record<string, string>} */
  const low = { 0: "₀", 1: "₁", t: "ₜ", k: "ₖ", i: "ᵢ", j: "ⱼ" };
  return text.replaceAll("_{t−1}", "ₜ₋₁").replace(/(?<=\p{L}|‖)_([01tkij])(?![\p{L}\d_])/gu, (_, sign) => low[sign]);
}
