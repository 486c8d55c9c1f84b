"""The page: its layout and its event handlers."""

from __future__ import annotations

from typing import Any

import gradio as gr

from core.charts.equations import GUARD, METHOD
from core.packaged import lacking
from core.panels import panels
from lab_app.api import publish
from lab_app.features import FEATURES
from lab_app.form.examples import examples
from lab_app.form.experiment import LANES, catalogue
from lab_app.form.settled import settled
from lab_app.form.sources import offered
from lab_app.handlers.actions import FORM, Actions
from lab_app.handlers.parts import QUIET, Parts
from lab_app.lab import Lab
from lab_app.markup import templates
from lab_app.markup.widgets import panel, problem, widget

TITLE = "Edit Lab"
AT_ONCE = 8  # visitors that are served by the same handler at the same time


def build(lab: Lab) -> gr.Blocks:
    """The whole page, connected to `lab`."""
    actions = Actions(lab)
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        parts = Parts(page, lab, actions)
        # Not a State: Gradio would hold a second connection for it, and a browser has six for all tabs of one address.
        parts.run = gr.Textbox("", visible="hidden")
        parts.visitor = gr.BrowserState("", storage_key="edit-lab-visitor", secret=lab.secret)
        parts.header = widget("header", {"runs": []}, templates.HEADER)
        with gr.Row(elem_id="lab"):
            with gr.Column(elem_id="experiment"):
                parts.form = experiment(lab)
            with gr.Column(elem_id="plots"):
                with gr.Row(elem_id="panels"):
                    parts.panels = {found.key: panel(found) for found in panels()}
                parts.dock = widget("dock", {"run": "", "rows": {}, "state": {}}, templates.DOCK, ["again", "rest"])
                for feature in FEATURES:
                    feature.place(parts)
            with gr.Column(elem_id="words"):
                parts.probe = widget("probe", {}, templates.PROBE, ["ask"])
                parts.words = widget("words", None, templates.WORDS)
        connect(parts)
        for feature in FEATURES:
            feature.connect(parts)
        feed(parts)
        publish(actions)
    for feature in FEATURES:
        feature.pages(parts)
    return page


def experiment(lab: Lab) -> dict[str, Any]:
    """The left side. Returns its parts by name."""
    form: dict[str, Any] = {}
    form["title"] = widget("experiment-title", {}, templates.EXPERIMENT, ["spec"])
    form["model"] = gr.Dropdown(
        list(lab.offered.known_models),
        value="pocket",
        allow_custom_value=True,
        label="Model",
        info=lacking(lab.assets) or None,
        elem_id="model",
    )
    form["model_problem"] = problem("model-problem")
    gr.HTML("<h3>Facts</h3>", apply_default_css=False, elem_classes=["lab-widget"])
    form["facts"] = widget(
        "facts",
        {"rows": examples(lab.world)},
        templates.FACTS,
        ["paste", "examples", "check", "relation", "file"],
        problems={"items": [], "message": ""},
        offered=offered(lab.world, lab.offered),
        looked={},
        relation={},
    )
    with gr.Row(elem_classes=["pair"]):
        form["count"] = gr.Number(
            200 if lab.world else 0,
            label="+ Sampled facts",
            precision=0,
            minimum=0,
            maximum=20_000,
            step=50,
            elem_id="count",
            min_width=80,
        )
        form["seed"] = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed", min_width=60)
    gr.HTML("<h3>Lanes</h3>", apply_default_css=False, elem_classes=["lab-widget"])
    form["lanes"] = widget(
        "lanes",
        {"lanes": LANES},
        templates.LANES % (METHOD + GUARD),
        ["has", "settle"],
        has=[],
        settled=settled(LANES, "pocket", ""),
        catalogue=catalogue(),
        curves=lab.curves,
        problems={"items": []},
    )
    with gr.Row(elem_classes=["pair"]):
        form["round_size"] = gr.Number(
            50,
            label="Facts per round",
            precision=0,
            minimum=1,
            maximum=20_000,
            step=10,
            elem_id="round-size",
            min_width=80,
        )
        form["measured"] = gr.Textbox(
            "", label="Measured rounds", placeholder="all", max_lines=1, elem_id="measured-rounds", min_width=80
        )
    with gr.Row(elem_classes=["pair"]):
        with gr.Column(elem_classes=["ticks"], min_width=80):
            form["single"] = gr.Checkbox(False, label="Single edits", container=False)
            form["free"] = gr.Checkbox(False, label="Free answers", container=False)
        with gr.Column(elem_classes=["ticks"], min_width=80):
            form["tasks"] = gr.Checkbox(True, label="Run tasks", container=False)
            form["maps"] = gr.Checkbox(True, label="Draw maps", container=False)
    form["problem"] = problem("run-problem", lab.told(lab.store.notice or ""))
    with gr.Row(elem_id="controls") as form["controls"]:
        form["start"] = gr.Button("Run", variant="primary", elem_id="start", min_width=70)
        form["pause"] = gr.Button("Pause", interactive=False, elem_id="pause", min_width=60)
        form["step"] = gr.Button("Step", interactive=False, elem_id="step", min_width=50)
        form["undo"] = gr.Button("Undo", interactive=False, elem_id="undo", min_width=50)
        form["stop"] = gr.Button("Stop", interactive=False, elem_id="stop", min_width=50)
    return form


def connect(parts: Parts) -> None:
    """Connect the handlers. They are private: `lab_app.api` has the published endpoints."""
    actions, form, run, visitor = parts.actions, parts.form, parts.run, parts.visitor
    at_once = {"concurrency_limit": AT_ONCE, **QUIET}
    asked = [form[name] for name in FORM]
    opened = [visitor, run, parts.header, form["problem"], *asked]
    parts.page.load(actions.attach, visitor, opened, **at_once)
    told = [form["facts"], form["lanes"], form["model_problem"], form["problem"], parts.header]
    form["start"].click(actions.start, [*asked, visitor], [run, *told], **at_once)
    form["model"].change(
        lambda model: gr.update(catalogue=catalogue(str(model))), form["model"], form["lanes"], **QUIET
    )
    form["pause"].click(actions.pause, run, **QUIET)
    form["step"].click(actions.step, run, **QUIET)
    form["undo"].click(actions.undo, run, form["problem"], **at_once)
    form["stop"].click(actions.stop, run, **QUIET)
    form["facts"].paste(actions.paste, form["facts"], form["facts"], **QUIET)
    form["facts"].examples(actions.example_rows, form["model"], form["facts"], **QUIET)
    asks = {"concurrency_limit": None, **QUIET}
    parts.probe.ask(actions.ask, [run, form["model"]], parts.probe, trigger_mode="multiple", **asks)
    parts.panels["map"].map(actions.map, [run, parts.panels["map"]], parts.panels["map"], **asks)


def feed(parts: Parts) -> None:
    """The stream of updates. It is connected last: the handlers that a change of the run starts are run one after
    another."""
    actions, buttons = parts.actions, [parts.form[name] for name in ("pause", "step", "undo", "stop")]
    feeds = [parts.dock, *parts.panels.values(), parts.words, *(parts.more[name] for name in actions.beside), *buttons]
    for begins in (parts.run.change, parts.dock.again):
        begins(actions.follow, parts.run, feeds, concurrency_limit=None, trigger_mode="multiple", **QUIET)
    parts.dock.rest(actions.rest, queue=False, **QUIET)
