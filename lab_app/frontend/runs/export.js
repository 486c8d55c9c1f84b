// Export: options for the open run, and the files that were exported.
import { asSvg, ready } from "../charts/plotly.js";
import { h, target } from "../shared/dom.js";
import { listen, run, view } from "../shared/state.js";
import * as address from "../shared/address.js";

/**
 * The dialog.
 * @param {Context} context - `value`: the possible and the stored exports; `types`: number types.
 */
export function exporting({ element, props, watch, trigger }) {
  const dialog = element.querySelector("dialog"),
    form = dialog.querySelector("form"),
    note = dialog.querySelector(".go .note"),
    made = dialog.querySelector(".made"),
    submit = dialog.querySelector("[type=submit]"),
    stop = dialog.querySelector("[data-do=stop]"),
    bar = dialog.querySelector(".go .bar"),
    fields = form.elements;
  const HOW = {
    lora: (stem) =>
      `from peft import PeftModel\nmodel = PeftModel.from_pretrained(model, "${stem}")  # model: the unedited one`,
    model: (stem) =>
      `from transformers import AutoModelForCausalLM\nmodel = AutoModelForCausalLM.from_pretrained("${stem}")`,
    again: (stem) => `python ${stem}.py`,
    factors: (stem) =>
      `from core.editing.deltas.factors import apply_factors\napply_factors(lm, "${stem}.safetensors")`,
  };

  /** The data of the open run; late answers about another run are ignored. */
  const told = () => (props.value?.run === view.run ? props.value : {});
  const header = () => /** @type {HTMLElement | null} */ (document.querySelector("#lab-header [data-do=export]"));
  document.addEventListener("click", (event) => {
    if (target(event)?.closest("#lab-header [data-do=export]")) address.show("export");
  });

  function shown() {
    const rounds = run.measured.filter((round) => round > 0),
      at = view.round || rounds.at(-1);
    const keep = fields.lane.value;
    fields.lane.replaceChildren(
      ...run.lanes.map((lane) => h("option", { value: lane, selected: lane === keep }, lane)),
    );
    fields.round.replaceChildren(
      ...rounds.map((round) => h("option", { value: round, selected: round === at }, String(round))),
    );
    for (const kind of fields.kind) if (!["zip", "snippet"].includes(kind.value)) kind.disabled = !rounds.length;
    options();
    trigger("look", {});
  }

  /** Enable only the options of the chosen kind. */
  function options() {
    const kind = fields.kind.value,
      cut = fields.cut.value;
    for (const part of form.querySelectorAll(".options")) {
      const off = part.dataset.of !== kind;
      part.classList.toggle("off", off);
      for (const field of part.querySelectorAll("input, select")) field.disabled = off;
    }
    fields.lane.disabled = fields.round.disabled = ["zip", "snippet"].includes(kind);
    fields.number.hidden = !cut;
    fields.number.placeholder = cut === "rank" ? "8" : "0.05";
    submit.disabled = !view.run || Boolean(told().busy);
  }

  /** The panels as drawn here, as SVG. */
  async function pictures() {
    const found = /** @type {Record<string, string>} */ ({});
    for (const plot of /** @type {NodeListOf<any>} */ (document.querySelectorAll("#panels [id^=lab-panel-] .plot"))) {
      if (!plot.data?.length) continue;
      const key = plot.closest("[id^=lab-panel-]").id.slice("lab-panel-".length);
      found[key] = await asSvg(plot);
    }
    return found;
  }

  form.addEventListener("change", options);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const kind = fields.kind.value,
      asked = /** @type {Record<string, any>} */ ({ kind });
    submit.disabled = true;
    if (kind === "zip") {
      asked.ledger = fields.ledger.checked;
      if (fields.figures.checked && ready()) asked.pictures = await pictures();
    } else if (kind !== "snippet") {
      asked.lane = fields.lane.value;
      asked.round = Number(fields.round.value);
      if (kind === "lora")
        Object.assign(asked, { cut: fields.cut.value, number: fields.number.value, dtype: fields.dtype.value });
    }
    trigger("make", asked);
  });

  stop.addEventListener("click", () => {
    stop.disabled = true;
    note.textContent = "stopping…";
    trigger("stop", { command: told().command });
  });

  /** Details of the last exported file. */
  function about({ layers, made: name }) {
    const stem = name.replace(/\.\w+$/, ""),
      kind = Object.keys(HOW).find((word) => stem.includes(`-${word}`));
    const parts = [];
    if (layers?.each.length)
      parts.push(
        h(
          "table",
          {},
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["layer", "columns", "rank of ΔW", "relative error ‖ΔW − LRᵀ‖ / ‖ΔW‖"].map((name) =>
                h("th", { scope: "col" }, name),
              ),
            ),
          ),
          h(
            "tbody",
            {},
            layers.each.map((layer) =>
              h(
                "tr",
                {},
                [layer.layer, layer.rank, layer.full_rank, layer.error.toExponential(1)].map((cell) =>
                  h("td", {}, String(cell)),
                ),
              ),
            ),
          ),
        ),
      );
    if (layers && !layers.same_bits)
      parts.push(h("p", { class: "note" }, "Rebuilt on another kind of device: the last bits differ from the run’s."));
    if (kind) parts.push(h("pre", { tabindex: "0" }, HOW[kind](stem)));
    return parts;
  }

  function paint() {
    const value = told(),
      files = value.files || [],
      focused = document.activeElement === stop;
    stop.hidden = !value.busy;
    stop.disabled = false;
    bar.hidden = !value.busy;
    bar.firstElementChild.style.width = `${100 * (value.part || 0)}%`;
    value.part === null || value.part === undefined
      ? bar.removeAttribute("aria-valuenow")
      : bar.setAttribute("aria-valuenow", Math.round(100 * value.part));
    note.textContent = value.message || "";
    note.classList.toggle("error", Boolean(value.wrong));
    options();
    if (focused && stop.hidden) submit.focus();
    made.replaceChildren(
      ...(files.length ? [h("h3", {}, "Exports of this run")] : []),
      ...files.map((file) =>
        h(
          "div",
          { class: file.name === value.made ? "file new" : "file" },
          h("a", { href: file.address, download: file.name }, file.name),
          h(
            "span",
            {},
            `${file.says} · ${new Date(file.made * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`,
          ),
          ...(file.name === value.made ? about(value) : []),
        ),
      ),
    );
  }

  fields.dtype.replaceChildren(...(props.types || []).map((name) => h("option", { value: name }, name)));
  watch("value", paint);
  listen((change) => {
    const button = header();
    if (button) button.hidden = !view.run;
    if (dialog.open && (change.run || change.rounds)) shown();
  });
  paint();
  address.sheet(["export"], dialog, shown);
}
