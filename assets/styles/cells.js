// What is wrong with the cells of a fact, as far as its form tells: the same rules in the same words as
// core/facts/typed.py, so that a message does not change when the worker reads the row.
EditLab.cells = (() => {
  const LONGEST = 2000,
    SLOT = "{}";
  const NEEDED = {
    subject: "type what the fact is about, e.g. France",
    prompt: "type a sentence without its last word, e.g. The capital of {} is",
    target: "type what the model should say instead, e.g. Lyon",
  };
  const clean = (value) =>
    String(value ?? "")
      .normalize("NFC")
      .replaceAll("\0", "")
      .trim();
  const times = (text, part) => text.split(part).length - 1;

  /** [column, message] for each cell of a row that cannot be used, the one that is told first by the worker first. */
  function problems(row) {
    const cells = {},
      found = [];
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
      const mentions = times(prompt, subject);
      if (!mentions)
        found.push(["prompt", `does not mention its subject "${subject}": write {} where the subject goes`]);
      else if (mentions > 1)
        found.push([
          "prompt",
          `mentions "${subject}" ${mentions} times: write {} at the one that is to be edited`,
        ]);
    }
    return found;
  }

  /** Whether a row holds anything but a prompt: rows that were only begun are passed over. */
  const begun = (row) => ["subject", "target", "truth"].some((name) => clean(row[name]));

  /** The first row before this one that asks the same with another answer; -1 if there is none. */
  function same(rows, index) {
    const key = (row) => `${clean(row.subject)}\n${clean(row.prompt)}`;
    const mine = key(rows[index]);
    return rows.findIndex((row, i) => i < index && key(row) === mine && clean(row.target) !== clean(rows[index].target));
  }
  return { problems, begun, same, clean };
})();
