// Recipes of lanes: names, equality of two lanes, and the meaning of a guard's τ.

/**
 * The entry of the catalogue with this name.
 * @param {Record<string, any[]> | undefined} catalogue
 * @param {string} kind - "methods", "guards", "priors" or "wrappers".
 * @param {string} [name]
 * @returns {any} undefined if there is none.
 */
export const known = (catalogue, kind, name) => (catalogue?.[kind] || []).find((found) => found.name === name);

/**
 * Why a guard, prior or wrapper does not go with a method; "" if it does.
 * @param {Record<string, any[]> | undefined} catalogue
 * @param {string} method
 * @param {string} kind - "guards", "priors" or "wrappers".
 * @param {string} [name]
 * @returns {string}
 */
export const refusal = (catalogue, method, kind, name) =>
  known(catalogue, "methods", method)?.refuses?.[kind]?.[name || ""] || "";

/**
 * The lane with another method, without the parts that do not go with it.
 * @param {Lane} lane
 * @param {string} method
 * @param {Record<string, any[]> | undefined} catalogue
 * @returns {Partial<Lane>} what changes
 */
export function withMethod(lane, method, catalogue) {
  const refuses = (kind, name) => Boolean(name && refusal(catalogue, method, kind, name));
  const then = (lane.then || []).filter(({ name }) => !refuses("guards", name));
  return {
    method,
    options: {},
    ...(refuses("guards", lane.guard) ? { guard: "", tau: null, guard_options: {} } : {}),
    ...(then.length < (lane.then || []).length ? { then: then.length ? then : undefined } : {}),
    ...(refuses("priors", lane.prior) ? { prior: "", prior_options: {} } : {}),
    ...(refuses("wrappers", lane.wrapper) ? { wrapper: "", wrapper_options: {} } : {}),
  };
}

/**
 * The name of a lane: the one that was typed, or method + guards.
 * @param {Lane} lane
 * @param {Record<string, any[]> | undefined} catalogue
 * @returns {string}
 */
export function labelOf(lane, catalogue) {
  if (lane.name) return lane.name;
  const title = (kind, name) => known(catalogue, kind, name)?.title || name;
  const guards = [lane.guard, ...(lane.then || []).map(({ name }) => name)].filter(Boolean);
  return [title("methods", lane.method), ...guards.map((name) => title("guards", name))].join(" + ");
}

/**
 * The identity of a lane without its name: two lanes with equal results are the same.
 * @param {Lane} lane
 * @param {Record<string, any[]> | undefined} catalogue
 * @returns {string}
 */
export function recipeOf(lane, catalogue) {
  const guard = known(catalogue, "guards", lane.guard),
    given = (options) =>
      Object.entries(options || {})
        .filter(([, value]) => value !== "")
        .sort();
  const tau = guard?.tau === undefined || guard?.tau === null ? null : Number(lane.tau ?? guard.tau);
  const prior = lane.prior === "full" ? "" : lane.prior || "";
  const parts = [lane.method, lane.guard || "", tau, prior, lane.wrapper || "", lane.from, lane.without];
  const options = [lane.options, lane.guard_options, lane.prior_options, lane.wrapper_options].map(given);
  return JSON.stringify([...parts, ...options, (lane.then || []).map(given)]);
}

const halfToEven = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

/**
 * The number of directions for a share τ of the energy (or of their number) in each layer, from energy curves.
 * @param {{ layer: number, i: number[], share: number[] }[]} curves - of the unedited matrices.
 * @param {number} tau
 * @param {string} by - "energy" or "count".
 * @returns {[number, number][]} [layer, k]
 */
export function ranks(curves, tau, by) {
  return curves.map(({ layer, i, share }) => {
    if (by === "count") return [layer, Math.max(1, halfToEven(tau * i[i.length - 1]))];
    const after = share.findIndex((value) => value >= tau - 1e-9);
    if (after <= 0) return [layer, after ? i[i.length - 1] : 1];
    const part = (tau - share[after - 1]) / (share[after] - share[after - 1]);
    return [layer, Math.max(1, Math.ceil(i[after - 1] + part * (i[after] - i[after - 1]) - 1e-6))];
  });
}

/**
 * What a lane's τ protects, in words.
 * @param {Lane} lane
 * @param {Record<string, any[]> | undefined} catalogue
 * @param {any[]} curves - as in `ranks`; empty before a run of the model.
 * @returns {string}
 */
export function tauSays(lane, catalogue, curves) {
  const by = lane.guard_options?.by || "energy";
  const found = ranks(curves, lane.tau ?? known(catalogue, "guards", lane.guard)?.tau ?? 0.1, by);
  if (!found.length)
    return by === "count"
      ? "protects this share of the singular directions, the strongest ones"
      : "protects the first singular directions that hold this share of the energy";
  const same = new Set(found.map(([, k]) => k)).size === 1;
  const ks = same ? found[0][1] : found.map(([, k]) => k).join(", ");
  return `protects k = ${ks} directions in layers ${found.map(([layer]) => layer).join(", ")}`;
}

/**
 * The start of a lane that does not begin with the unedited model, and the facts that it leaves out, in words.
 * @param {Lane} lane
 * @returns {string} "" where there is nothing to say.
 */
export function beginsSays(lane) {
  const left = lane.without || [];
  return [
    lane.from ? `from round ${lane.from.round} of ${lane.from.lane}` : null,
    left.length ? `without ${left.length === 1 ? "fact" : "facts"} ${left.map((i) => i + 1).join(", ")}` : null,
  ]
    .filter(Boolean)
    .join(", ");
}
