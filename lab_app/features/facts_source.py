"""The table of facts beyond typing: lookups, templates of the model's world, uploaded files, and the spec that Run
submits."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from core.errors import UserError
from core.facts.source import MOST
from core.runs.spec.problems import SpecError
from core.runs.spec.run_spec import RunSpec
from lab_app.form import experiment, sources
from lab_app.form.examples import examples
from lab_app.form.experiment import rows_of
from lab_app.handlers.actions import FORM, told, whole
from lab_app.handlers.parts import QUIET, Parts
from lab_app.lab import Lab, admit
from lab_app.markup.widgets import widget

LONGEST_SPEC = 4_000_000  # characters that a page is sent
LARGEST, LONGEST_NAME = 16_000_000, 100  # bytes of a file, characters of its name
SPEC = """
<dialog class="spec" aria-labelledby="spec-title">
  <header><h3 id="spec-title">Experiment spec</h3>
    <button type="button" data-do="close" aria-label="Close">×</button></header>
  <p class="problem" role="alert" dir="auto"></p>
  <p class="about">To run it without a browser, save this as spec.json and run
  <code>python -m core run spec.json --out DIR</code></p>
  <pre tabindex="0" aria-label="Spec as JSON"></pre>
  <div class="ends"><span class="left" role="status"></span>
    <button type="button" data-do="copy">Copy</button>
    <button type="button" data-do="save">Save spec.json</button></div>
</dialog>"""


def place(parts: Parts) -> None:
    parts.more["spec"] = widget("spec", {}, SPEC)


def connect(parts: Parts) -> None:
    form, desk = parts.form, Desk(parts.lab)
    at_once = {"concurrency_limit": 8, **QUIET}
    many = {"trigger_mode": "multiple", **at_once}
    facts = form["facts"]
    facts.check(desk.check, form["model"], facts, **many)
    facts.relation(desk.relation, form["model"], facts, **many)
    form["model"].change(desk.world, [form["model"], facts], facts, **at_once)
    facts.file(desk.upload, facts, facts, **at_once)
    form["title"].spec(desk.spec, [form[name] for name in FORM], parts.more["spec"], **at_once)


def pages(parts: Parts) -> None:
    """None of its own."""


class Desk:
    """The handlers."""

    def __init__(self, lab: Lab):
        self.lab = lab

    def check(self, model: str | None, event: gr.EventData) -> Any:
        """The problems of changed rows, and what the pocket world knows about them."""
        asked = event._data.get("rows")
        rows = [row for row in asked if isinstance(row, dict)] if isinstance(asked, list) else []
        world = self.lab.world if str(model or "").strip() in ("", "pocket") else None
        found = sources.looked_up(rows, world)
        keys = ([str(row.get(name) or "") for name in ("subject", "prompt", "target", "truth")] for row in rows)
        return gr.update(looked={"rows": [[key, row] for key, row in zip(keys, found, strict=False)]})

    def world(self, model: str | None, facts: Any, request: gr.Request) -> Any:
        """The choices of the table for another model, which may have another world. Examples of another world that
        nobody touched become those of this one; what somebody typed stays."""
        world, rows = self.lab.world_of(model), rows_of(facts)
        changed: dict[str, Any] = {"offered": sources.offered(world, self.lab.offer(request))}
        others = [examples(other) for other in (self.lab.world, self.lab.everyday) if other is not world]
        if rows in others:
            changed["value"] = {**kept(facts), "rows": examples(world)}
        return gr.update(**changed)

    def relation(self, model: str | None, event: gr.EventData) -> Any:
        """Subjects and objects of the chosen relation."""
        world = self.lab.world_of(model)
        if world is None:
            return gr.skip()
        try:
            return gr.update(relation=sources.relation(world, str(event._data.get("name"))))
        except UserError as error:
            return told(message=str(error))

    def upload(self, facts: Any, event: gr.EventData) -> Any:
        """Append the rows of an uploaded file, `{"name", "content": in base64}`. The file is stored only while it is
        read."""
        rows = [
            row for row in rows_of(facts) if any(str(row.get(name) or "").strip() for name in ("subject", "target"))
        ]
        try:
            with TemporaryDirectory(prefix="edit-lab-") as folder:
                added, problems, words = sources.uploaded(received(event._data, Path(folder)))
            if len(rows) + len(added) > MOST:
                raise UserError(f"{len(rows) + len(added):,} rows in total; a run takes at most {MOST:,} facts.")
        except UserError as error:
            return told(message=f"{str(error)[:1].upper()}{str(error)[1:]}")
        items = [problem | {"row": problem["row"] + len(rows)} for problem in problems]
        return told(items, words, good=not items, value={**kept(facts), "rows": rows + added})

    def spec(self, request: gr.Request, *asked: Any) -> dict[str, Any]:
        """The spec of the form, and its problems."""
        form = dict(zip(FORM, asked, strict=True))
        seed, spec, wrong = whole(form["seed"]), None, ""
        try:
            chosen, _ = experiment.asked(form["facts"], whole(form["count"]), seed, self.lab.world_of(form["model"]))
            spec = experiment.spec(chosen, form | {"seed": seed, "round_size": whole(form["round_size"], 1)})
            admit(RunSpec.from_dict(spec), self.lab.offer(request))
        except SpecError as error:
            wrong = "; ".join(f"{problem.where}: {problem.message}" for problem in error.problems[:5])
        except UserError as error:
            wrong = str(error)
        text = "" if spec is None else json.dumps(spec, ensure_ascii=False, indent=2)
        if len(text) > LONGEST_SPEC:
            wrong = f"{len(text):,} characters: too long to show; use fewer rows, or a file of facts as the source"
            text = ""
        return {"text": text, "wrong": wrong, "facts": 0 if spec is None else len(spec["facts"].get("items") or ())}


def received(sent: Any, folder: Path) -> Path:
    """Write a file that a page sent into a folder, under its own name; raises `UserError` if it is not a file."""
    name, content = (sent.get(key) if isinstance(sent, dict) else None for key in ("name", "content"))
    if not isinstance(name, str) or not isinstance(content, str):
        raise UserError("choose a file of facts")
    try:
        data = b64decode(content, validate=True)
    except ValueError:
        raise UserError("the upload was incomplete; choose the file again") from None
    if len(data) > LARGEST:
        raise UserError(f"{len(data) / 1e6:,.0f} MB; at most {LARGEST / 1e6:.0f} MB can be uploaded. Upload a part")
    plain = "".join(letter for letter in name if letter.isprintable() and letter not in '/\\:*?"<>|')[-LONGEST_NAME:]
    path = folder / (plain.lstrip(".") or "facts")
    path.write_bytes(data)
    return path


def kept(facts: Any) -> dict[str, Any]:
    """The table's values besides its rows."""
    return {name: facts.get(name, "") for name in experiment.CHOICES} if isinstance(facts, dict) else {}
