// Checks of a fact's cells, as far as the form can tell. The rules and messages are those of core/facts/typed.py,
// so that a message does not change when the worker reads the row.

const LONGEST = 2000,
  SLOT = "{}";
/** @type {Record<string, string>} */
const NEEDED = {
  subject: "type what the fact is about, e.g. France",
  prompt: "type a sentence without its last word, e.g. The capital of {} is",
  target: "type what the model should say instead, e.g. Lyon",
};
/**
 * A cell as the worker reads it.
 * @param {any} value
 * @returns {string}
 */
export const clean = (value) =>
  String(value ?? "")
    .normalize("NFC")
    .replaceAll("\0", "")
    .trim();
const times = (text, part) => text.split(part).length - 1;

// Word boundaries, as in core/letters.py.
const SPACELESS =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]/u;
const KATAKANA = /[\u30a0-\u30fa\u30fc-\u30ff]/u,
  BINDS = /\p{M}|\u200d|[\u{1f3fb}-\u{1f3ff}]/u,
  NUMERIC = /[\p{N}〇一二三四五六七八九十百千万億兆]/u,
  DIGIT = /\p{Nd}/u,
  LETTERED = /[\p{L}\p{N}\p{M}]/u;
const WITHIN_NUMBERS = ".,:/'’٫٬",
  SIGNS = "-.";

/** Whether a word, a number or an emoji continues between letters[at - 1] and letters[at]. */
function insideWord(letters, at) {
  if (at <= 0 || at >= letters.length) return false;
  const [left, right] = [letters[at - 1], letters[at]];
  const digit = (letter) => letter !== undefined && DIGIT.test(letter);
  if (BINDS.test(right) || left === "\u200d") return true;
  if (NUMERIC.test(left) && NUMERIC.test(right)) return true;
  if (WITHIN_NUMBERS.includes(right) && digit(left) && digit(letters[at + 1])) return true;
  if (WITHIN_NUMBERS.includes(left) && digit(right) && digit(letters[at - 2])) return true;
  const before = letters[at - 2] ?? "";
  if (SIGNS.includes(left) && digit(right) && !/[\p{L}\p{N}]/u.test(before) && before !== ".") return true;
  if (SPACELESS.test(left) || SPACELESS.test(right)) return KATAKANA.test(left) && KATAKANA.test(right);
  return LETTERED.test(left) && LETTERED.test(right);
}

/** How often a text contains a part as whole words. */
function mentioned(text, part) {
  const letters = [...text],
    wanted = [...part];
  let found = 0;
  for (let at = 0; at + wanted.length <= letters.length; at++)
    if (wanted.every((letter, i) => letters[at + i] === letter)) {
      if (!insideWord(letters, at) && !insideWord(letters, at + wanted.length)) found++;
      at += wanted.length - 1;
    }
  return found;
}

/**
 * The problems of a row: [column, message] for each invalid cell, in the worker's order.
 * @param {FactRow} row
 * @returns {[string, string][]}
 */
export function problems(row) {
  const cells = /** @type {Record<string, string>} */ ({}),
    found = /** @type {[string, string][]} */ ([]);
  for (const column of ["subject", "prompt", "target", "truth"]) {
    cells[column] = clean(row[column]);
    const length = [...cells[column]].length;
    if (length > LONGEST)
      found.push([column, `${length.toLocaleString("en")} characters: at most ${LONGEST.toLocaleString("en")}`]);
    else if (!cells[column] && NEEDED[column]) found.push([column, `empty: ${NEEDED[column]}`]);
  }
  const { subject, prompt, target, truth } = cells;
  if (target && target === truth)
    found.push(["target", `"${target}" is also the old answer: there is nothing to edit; type another target`]);
  const slots = times(prompt, SLOT);
  if (slots > 1)
    found.push(["prompt", `${slots} slots {}: leave one, at the subject whose last token is to be edited`]);
  else if (prompt && subject && !slots) {
    const mentions = mentioned(prompt, subject);
    if (!mentions) {
      const inside = prompt.includes(subject);
      const what = inside
        ? `mentions "${subject}" only inside a longer word`
        : `does not mention its subject "${subject}"`;
      found.push(["prompt", `${what}: write {} where the subject goes`]);
    } else if (mentions > 1)
      found.push(["prompt", `mentions "${subject}" ${mentions} times: write {} at the one that is to be edited`]);
  }
  return found;
}

/**
 * Whether a row has anything but a prompt: rows that were only begun are ignored.
 * @param {FactRow} row
 * @returns {boolean}
 */
export const begun = (row) => ["subject", "target", "truth"].some((name) => clean(row[name]) !== "");

/**
 * The first earlier row that asks the same with another answer; -1 if there is none.
 * @param {FactRow[]} rows
 * @param {number} index
 * @returns {number}
 */
export function same(rows, index) {
  const key = (row) => `${clean(row.subject)}\n${clean(row.prompt)}`;
  const mine = key(rows[index]);
  return rows.findIndex((row, i) => i < index && key(row) === mine && clean(row.target) !== clean(rows[index].target));
}
