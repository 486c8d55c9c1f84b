// The experiment's facts: an editable table that takes pasted rows and shows problems in the row that has them.
EditLab.kinds.facts = ({ element, props, watch, trigger }) => {
  const { h } = EditLab;
  const SHOWN = 60,
    NAMES = { prompt: "Prompt", subject: "Subject", target: "New answer", truth: "Old answer" };
  const HINTS = { prompt: "The capital of {} is", subject: "France", target: "Lyon", truth: "Paris (if known)" };
  const list = element.querySelector(".rows"),
    note = element.querySelector(".note"),
    paste = element.querySelector("details.paste"),
    area = element.querySelector("textarea");
  const rows = () => props.value?.rows || [];
  const set = (next) => {
    props.value = { ...props.value, rows: next };
    count();
  };

  function change(index, name, text) {
    const next = rows().slice();
    const row = { ...next[index], [name]: text };
    // What was written for another subject or sentence says nothing about this one.
    if (name === "subject" || name === "prompt")
      for (const stale of ["paraphrases", "neighborhood", "portability", "relation", "id"]) delete row[stale];
    next[index] = row;
    set(next);
    const line = list.children[index];
    line?.querySelector(`[data-column=${name}]`)?.removeAttribute("aria-invalid");
    line?.querySelector(".problem")?.replaceChildren();
  }
  const cell = (row, index, name) =>
    h("input", {
      type: "text",
      dir: "auto",
      value: row[name] ?? "",
      placeholder: HINTS[name],
      "data-column": name,
      "aria-label": `${NAMES[name]}, row ${index + 1}`,
      spellcheck: "false",
      autocomplete: "off",
      oninput: (event) => change(index, name, event.target.value),
      onpaste: (event) => pasted(event),
    });
  function pasted(event) {
    const text = event.clipboardData?.getData("text/plain") || "";
    if (!/[\t\n]/.test(text.trim())) return;
    event.preventDefault();
    send(text);
  }
  function send(text) {
    if (text.length > 16e6) {
      area.value = text.slice(0, 2000);
      note.textContent =
        `That is ${Math.round(text.length / 1e6)} MB of text: at most 20,000 facts fit one run. ` +
        "Save it as a file for the command line, or paste a part.";
      note.className = "note error";
      return;
    }
    note.textContent = "reading…";
    note.className = "note";
    trigger("paste", { text });
  }
  function line(row, index) {
    return h(
      "div",
      { class: "fact", role: "row" },
      h(
        "div",
        { class: "first" },
        cell(row, index, "prompt"),
        h(
          "button",
          {
            type: "button",
            class: "remove",
            "aria-label": `Remove row ${index + 1}`,
            onclick: () => {
              set(rows().filter((_, i) => i !== index));
              paint();
            },
          },
          "×",
        ),
      ),
      h(
        "div",
        { class: "second" },
        cell(row, index, "subject"),
        h("span", { "aria-hidden": "true" }, "→"),
        cell(row, index, "target"),
        h("span", { class: "was", "aria-hidden": "true" }, "was"),
        cell(row, index, "truth"),
      ),
      h("p", { class: "problem", role: "alert" }),
    );
  }
  function paint() {
    list.replaceChildren(...rows().slice(0, SHOWN).map(line));
    count();
    problems();
  }
  function count() {
    const total = rows().length;
    element.querySelector(".count").textContent =
      `${total.toLocaleString("en")} ${total === 1 ? "fact" : "facts"}` +
      (total > SHOWN ? `, the first ${SHOWN} shown` : "");
  }
  function problems() {
    for (const marked of list.querySelectorAll("[aria-invalid]")) marked.removeAttribute("aria-invalid");
    for (const shown of list.querySelectorAll(".problem")) shown.replaceChildren();
    const { items = [], message = "", good = false } = props.problems || {};
    note.textContent = message;
    note.className = message && !good ? "note error" : "note";
    for (const { row, column, message: text } of items) {
      const line = list.children[row - 1];
      if (!line) continue;
      line.querySelector(".problem").textContent = text;
      line.querySelector(`[data-column=${column}]`)?.setAttribute("aria-invalid", "true");
    }
    if (items.length)
      (list.querySelector("[aria-invalid]") || list.children[items[0].row - 1])?.scrollIntoView({ block: "nearest" });
    if (good) {
      area.value = "";
      paste.open = false;
    }
  }
  element.querySelector("[data-do=add]").addEventListener("click", () => {
    set([...rows(), { subject: "", prompt: rows().at(-1)?.prompt ?? "", target: "", truth: "" }]);
    paint();
    list.lastElementChild?.querySelector("[data-column=subject]").focus();
  });
  element.querySelector("[data-do=clear]").addEventListener("click", () => {
    set([]);
    paint();
  });
  area.addEventListener("paste", (event) => {
    // Browsers take minutes to lay out a text area of many thousand lines: such text goes straight to be read.
    const text = event.clipboardData?.getData("text/plain") || "";
    if (text.length < 20000) return;
    event.preventDefault();
    send(text);
  });
  element.querySelector("[data-do=read]").addEventListener("click", () => send(area.value));
  element.querySelector("[data-do=examples]").addEventListener("click", () => trigger("examples"));
  watch("value", paint);
  watch("problems", problems);
  paint();
};
