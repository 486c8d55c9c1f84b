// The form below the table of facts: templates of the model's world, files, the sampled dataset, and the order.
import { h } from "../shared/dom.js";
import { form } from "../shared/state.js";
import * as cells from "./cells.js";

/**
 * The form below the table.
 * @param {Context & { add(row: FactRow): void, choose(change: object): void, chosen: Record<string, any>,
 *   say(text: string, error?: boolean): void }} context - the table's, which adds rows and stores the choices.
 * @returns {() => void} redraws the choices.
 */
export function factSources({ element, props, watch, trigger, add, choose, chosen, say }) {
  const MOST = 16e6; // bytes of an upload
  const find = (selector) => element.querySelector(selector);
  let offered = props.offered || {};
  const option = (value, text, selected) => h("option", { value, selected }, text);

  // -- templates: a relation's sentence with two blanks
  const template = find(".template"),
    relation = find(".relation"),
    blank = find(".blank"),
    hint = find(".template .hint");
  function relations() {
    template.hidden = !offered.relations?.length;
    relation.replaceChildren(
      option("", "choose…", true),
      ...(offered.relations || []).map(([name, description]) => option(name, description)),
    );
    blank.replaceChildren();
    hint.textContent = "";
  }
  relations();
  relation.addEventListener("change", () => {
    blank.replaceChildren();
    hint.textContent = "";
    if (relation.value) trigger("relation", { name: relation.value });
  });
  function fill() {
    const { relation: name, subjects = [], objects = [], all = 0 } = props.relation || {};
    const asked = (offered.relations || []).find(([own]) => own === name);
    if (!asked || name !== relation.value) return;
    const truths = new Map(subjects);
    const offer = (id, names) => h("datalist", { id }, ...names.map((text) => h("option", { value: text })));
    const input = (label, list, placeholder) =>
      h("input", {
        type: "text",
        dir: "auto",
        "aria-label": label,
        list,
        placeholder,
        autocomplete: "off",
        spellcheck: "false",
        oninput: told,
        onkeydown: (event) => {
          if (event.key === "Enter") enter();
        },
      });
    const subject = input("Subject of the template", "template-subjects", subjects[0]?.[0]),
      target = input(
        "New answer of the template",
        "template-objects",
        objects.find((o) => o !== subjects[0]?.[1]),
      );
    const [before, after] = asked[2].split("{}");
    function told() {
      const truth = truths.get(cells.clean(subject.value));
      const pocket = offered.world === "the pocket world";
      hint.textContent = truth
        ? cells.clean(target.value) === truth
          ? `${truth} is ${pocket ? "what the pocket model was taught" : "the true answer"}: type another answer.`
          : `${pocket ? "The pocket model was taught" : "The true answer is"} ${truth}.`
        : subject.value && pocket && all <= subjects.length
          ? "Not in the pocket world: the model knows nothing about it."
          : "";
    }
    function enter() {
      const [name, answer] = [cells.clean(subject.value), cells.clean(target.value)];
      if (!name || !answer) {
        hint.textContent = `Type ${name ? "the new answer" : "what the fact is about"}.`;
        (name ? target : subject).focus();
        return;
      }
      if (truths.get(name) === answer) return told();
      add({ subject: name, prompt: asked[2], target: answer, truth: truths.get(name) || "" });
      hint.textContent = `Added: ${asked[2].replace("{}", name)} ${answer}.`;
      subject.value = target.value = "";
      subject.focus();
    }
    blank.replaceChildren(
      h("span", {}, before.trim()),
      subject,
      h("span", {}, `${(after || "").trim()} →`),
      target,
      h("button", { type: "button", onclick: enter }, "Add"),
      offer(
        "template-subjects",
        subjects.map(([text]) => text),
      ),
      offer("template-objects", objects),
    );
    hint.textContent = "";
    subject.focus();
  }
  watch("relation", fill);

  // -- files: read in the browser, and sent as their content
  const file = find("input[type=file]"),
    list = find(".rows");
  file.accept = (offered.suffixes || []).join(",");
  find("[data-do=upload]").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    if (file.files.length) upload(file.files);
    file.value = "";
  });
  function upload(files) {
    const [first] = files,
      suffix = (/\.[^.]+$/.exec(first.name)?.[0] || "").toLowerCase();
    if (files.length > 1) return say("One file at a time, please.", true);
    if (!(offered.suffixes || []).includes(suffix))
      return say(`${first.name}: facts are uploaded as ${offered.suffixes.join(", ")}`, true);
    if (first.size > MOST)
      return say(
        `${first.name}: ${(first.size / 1e6).toFixed(0)} MB; at most 16 MB can be uploaded. Upload a part, ` +
          "or use python -m core run.",
        true,
      );
    say("reading…");
    const reader = new FileReader();
    reader.onerror = () => say(`${first.name}: this browser cannot read it.`, true);
    reader.onload = () => trigger("file", { name: first.name, content: String(reader.result).split(",")[1] || "" });
    reader.readAsDataURL(first);
  }
  for (const name of ["dragover", "dragenter"])
    list.addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      list.classList.add("takes");
    });
  for (const name of ["dragleave", "drop"]) list.addEventListener(name, () => list.classList.remove("takes"));
  list.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    upload(event.dataTransfer.files);
  });

  // -- the sampled facts, and the order in which all facts are edited
  const source = find(".source"),
    order = find(".order"),
    about = find(".source-hint"),
    mixed = find(".mixed");
  const kinds = new Map();
  function known() {
    for (const kind of offered.datasets || [])
      for (const [subset, place] of Object.entries(kind.hub))
        kinds.set(`${kind.name} ${subset}`, { ...kind, subset, place });
  }
  known();
  watch("offered", () => {
    const other = offered.world !== props.offered?.world;
    offered = props.offered || {};
    if (other) relations();
    known();
    paint();
  });
  source.addEventListener("change", () => {
    const [name, subset = ""] = source.value.split(" ");
    choose({ source: name, subset });
    paint();
  });
  mixed.querySelector("input").addEventListener("change", (event) => {
    choose({ shuffle: event.target.checked ? "true" : "" });
    paint();
  });
  order.addEventListener("change", () => {
    choose({ order: order.value });
    paint();
  });
  const ORDERS = {
    shuffled: "All facts, shuffled by the seed.",
    clustered: "Grouped by relation.",
    adversarial:
      "Facts that share a subject, relation or object follow each other, so that a round edits them together.",
    likely_first: "By the probability that the unedited model gives to the truth, the highest first.",
    unlikely_first: "By the probability that the unedited model gives to the truth, the lowest first.",
    high: "Four times as many are drawn; the quarter whose truth the unedited model finds most likely is edited.",
    low: "Four times as many are drawn; the quarter whose truth the unedited model finds least likely is edited.",
  };
  form.source = () => chosen.source || "";
  function paint() {
    form.settle?.(); // some settings are published for a dataset
    const mine = chosen.source && chosen.source !== "pocket" ? `${chosen.source} ${chosen.subset || ""}` : "pocket";
    const now = kinds.has(mine)
      ? mine
      : [...kinds.keys()].find((name) => name.split(" ")[0] === chosen.source) || "pocket";
    const title = ({ title, subset, hub }) => (Object.keys(hub).length > 1 ? `${title}, ${subset}` : title);
    source.replaceChildren(
      option("pocket", offered.world || "the pocket world", now === "pocket"),
      ...[...kinds].map(([name, kind]) =>
        h(
          "option",
          { value: name, selected: name === now, disabled: !kind.place },
          title(kind) + (kind.place ? "" : " (upload)"),
        ),
      ),
    );
    order.replaceChildren(
      ...(offered.orders || []).map(([name, text]) => option(name, text, name === (chosen.order || "given"))),
    );
    const kind = kinds.get(now);
    const where = kind?.place?.replace("hf://datasets/", "");
    mixed.hidden = !kind;
    mixed.querySelector("input").checked = Boolean(chosen.shuffle);
    const taught = kind?.taught?.[kind.subset] || "";
    about.replaceChildren(
      ...[
        kind && `${kind.title} is edited alone: rows above wait. The worker fetches ${where} when the run starts.`,
        kind &&
          (chosen.shuffle
            ? "Sampled records, shuffled by the seed."
            : "The first records of the file, as in the papers."),
        taught && `New answers: ${taught}.`,
        ORDERS[chosen.order],
      ]
        .filter(Boolean)
        .map((text) => h("span", {}, text)),
    );
    element.querySelector(".facts-form").classList.toggle("waits", Boolean(kind));
  }
  return paint;
}
