"""Every handler and endpoint that takes a name admits it itself: a page can be passed by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from core.errors import UserError
from core.runs.export.offered import KEPT
from core.runs.spec.admission import EVERYTHING, Offer
from core.runs.store import commands
from lab_app import lab as lab_module
from lab_app.api import looks, questions, runs, takeaway
from lab_app.api.asked import check_type, spoken
from lab_app.features.export import Exports
from lab_app.features.facts_source import Desk as Facts
from lab_app.features.studies import Desk as Studies
from lab_app.handlers.actions import FORM, Actions
from lab_app.handlers.there import rounds_of
from lab_app.lab import Lab
from tests.lab_app.apart import OWNER, OWNER_KEY, VISITOR, run_apart
from tests.lab_app.synthetic import LANES, record
from tests.lab_app.test_endpoints import SPEC

FOLDER = "/home/somebody/llama"
FOREIGN = {
    "a model": {"model": FOLDER},
    "a file of facts": {"facts": {"source": "/etc/passwd.csv"}},
    "a dataset": {"facts": {"source": "counterfact", "count": 1}},
    "texts": {"statistics": {"texts": "/etc/passwd"}},
    "a task": {"measure": {"tasks": ["/tmp/gradio/evil.yaml"]}},
}


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path, worker=False, key=OWNER_KEY)
    yield made
    made.close()
    made.store.close()


def endpoint(lab: Lab, name: str) -> Any:
    modules = (runs, questions, looks, takeaway)
    return next(spoken(made) for module in modules for made in module.endpoints(Actions(lab)) if made.__name__ == name)


def refused(lab: Lab, name: str, *given: Any) -> str:
    """What an endpoint answers to what it does not do."""
    with pytest.raises(gr.Error) as told:
        run_apart(endpoint(lab, name)(*given))
    return str(told.value.message)


def event(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


@pytest.mark.parametrize("what", FOREIGN)
def test_a_run_of_a_visitor_names_only_what_is_offered(lab, what):
    spec = {**SPEC, **FOREIGN[what]}
    assert "names no files of this computer" in refused(lab, "start_run", spec, "", VISITOR)
    assert lab.store.runs() == []
    run = run_apart(endpoint(lab, "start_run")(spec, "", OWNER))["run"]
    assert lab.store.get(run).status == "queued"


def test_the_form_of_a_visitor_is_admitted_like_a_spec(lab):
    values = {"facts": {"rows": SPEC["facts"]["items"]}, "count": 0, "seed": 0, "lanes": {"lanes": SPEC["lanes"]}}
    values |= {"model": FOLDER, "round_size": 1, "tasks": False, "maps": False}
    values |= {"single": False, "measured": "", "free": False}
    form = [values[name] for name in FORM]
    actions = Actions(lab)
    assert "is not offered here" in actions.start(VISITOR, *form, "visitor")[3]
    assert "is not offered here" in Facts(lab).spec(VISITOR, *form)["wrong"]
    assert lab.store.runs() == []
    assert actions.start(OWNER, *form, "visitor")[3] == ""
    assert Facts(lab).spec(OWNER, *form)["wrong"] == ""


def test_the_form_offers_what_may_be_named(lab):
    actions = Actions(lab)
    visitors, own = actions.offered(VISITOR), actions.offered(OWNER)
    assert [name for name, _ in visitors["model"]["choices"]] == list(lab.offered.known_models)
    assert "folder" in own["model"]["label"]
    assert "folder" not in visitors["model"]["label"]
    places = [
        {place for kind in one["facts"]["offered"]["datasets"] for place in kind["hub"].values()}
        for one in (own, visitors)
    ]
    assert "azhx/counterfact" in places[0]
    assert places[1] == {""}


@pytest.mark.parametrize(
    ("study", "options"),
    [("generation", {"judge": FOLDER}), ("decomposition", {"tasks": "sst2,/tmp/gradio/evil.yaml"})],
)
def test_a_study_of_a_visitor_names_only_what_is_offered(lab, study, options):
    run = record(lab.store, rounds=2)
    assert "names no files" in refused(lab, "study_run", run, study, options, None, "last", VISITOR)
    asked = event(name=study, options=options, lanes=[LANES[0]], rounds="last")
    assert "names no files" in run_apart(Studies(lab).ask(run, asked, VISITOR))["told"]["message"]
    assert lab.store.waiting() == []


def test_a_visitor_asks_no_model_that_is_not_offered(lab):
    async def asked(who: Any) -> None:
        async for _ in Actions(lab).ask("", FOLDER, event(prompt="a"), who):
            return

    run_apart(asked(VISITOR))
    run_apart(asked(OWNER))
    assert [command.payload["model"] for command in lab.store.waiting()] == ["", FOLDER]


def test_a_model_that_is_not_offered_is_not_taken_away(lab):
    run = record(lab.store, rounds=2)
    spec = {**lab.store.get(run).spec, "model": FOLDER}
    lab.store.extend(run, spec, "")
    assert "is not offered here" in refused(lab, "export_run", run, "model", LANES[0], 1, None, VISITOR)

    async def made(who: Any) -> Any:
        desk = Exports(lab, ())
        async for value in desk.make(run, event(kind="model", lane=LANES[0], round=1), who):
            return value
        return None

    assert "is not offered here" in run_apart(made(VISITOR))["message"]
    assert lab.store.waiting() == []
    assert run_apart(made(OWNER))["busy"]


def test_who_is_who(lab):
    assert lab.offer(OWNER) == EVERYTHING
    assert lab.offer(VISITOR) == lab.offer(None) == lab.offered
    assert "pocket" in lab.offered.known_models
    assert not lab.offered.everything


# -- what is asked for is there, and of its kind


WRONG = [
    ("run_status", (5,), "Run should be text, not 5"),
    ("run_status", ("\x00",), "no run of that id"),
    ("run_events", ("a", "b"), "After should be a whole number"),
    ("run_events", ("a", True), "After should be a whole number"),
    ("run_events", ("a", 10**40), "After should be a number up to"),
    ("run_events", ("a", 0, float("inf")), "Wait should be a number up to"),
    ("run_events", ("a", 0, "30"), "Wait should be a number, not"),
    ("start_run", ([],), "Spec should be an object, not []"),
    ("start_run", ({}, ["key"]), "Key should be text"),
    ("list_runs", ({},), "Key should be text"),
    ("steer_run", ("a", None), "Action should be text, not None"),
    ("undo_run", ("RUN", 0), "at least one round must be undone, not 0"),
    ("undo_run", ("RUN", "2"), "Rounds should be a whole number"),
    ("add_lanes", ("RUN", "memit"), "Lanes should be a list of objects"),
    ("add_lanes", ("RUN", [{"method": "memitt"}]), "did you mean"),
    ("add_lanes", ("RUN", [{"method": "memit", "from": {"lane": "nobody", "round": 1}}]), 'no lane is called "nobody"'),
    ("ask_run", ("RUN", 3), "Prompt should be text"),
    ("ask_run", ("RUN", "a", 99, LANES[0]), "round 99 of"),
    ("ask_run", ("RUN", "a", -1, LANES[0]), "round -1 of"),
    ("ask_run", ("RUN", "a", None, "nobody"), 'no lane "nobody"'),
    ("ask_run", ("RUN", "a", None, None, [99]), "round 99 of"),
    ("ask_run", ("RUN", "a", None, None, ["x"]), "Without should be a list of whole numbers or null"),
    ("study_run", ("RUN", "scores", None, ["nobody"]), 'no lane "nobody"'),
    ("study_run", ("RUN", "scores", None, None, "0,99"), "round 99 of"),
    ("study_run", ("RUN", "scores", None, None, "first"), "neither all, last, nor numbers"),
    ("study_run", ("RUN", "scores", {"facts": "x"}), "should be of type int"),
    ("study_run", ("RUN", "scores", "facts"), "Options should be an object or null"),
    ("study_result", ("RUN", 10**6), "no study 1000000"),
    ("stop_study", ("RUN", 10**6), "no study 1000000"),
    ("fact_card", ("RUN", 10**6), "no fact 1000000"),
    ("fact_card", ("RUN", -1), "no fact -1"),
    ("fact_card", ("RUN", 0, "nobody"), 'no lane "nobody"'),
    ("fact_card", ("RUN", 0, None, 99), "Round 99"),
    ("film_strip", ("RUN", "", "nobody"), 'no lane "nobody"'),
    ("export_run", ("RUN", "lora", "nobody", 1), 'no lane "nobody"'),
    ("export_run", ("RUN", "lora", LANES[0], 99), "round 99 of"),
    ("export_run", ("RUN", "lora", LANES[0], 1, {"rank": 0}), "rank should be a whole number"),
    ("preview_facts", ({"count": "x"},), "Count: should be a valid integer"),
    ("preview_facts", ({"seed": [1]},), "Seed: should be a valid integer"),
    ("preview_facts", ({"items": [{}] * 20_001},), "at most 20,000"),
]


@pytest.mark.parametrize(("name", "given", "message"), WRONG, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(WRONG)])
def test_what_cannot_be_is_told_at_once_and_in_words(lab, name, given, message):
    """Nobody is at work here: what is not told at once would wait for the worker, and be told that it is busy."""
    run = record(lab.store, rounds=2)
    said = refused(lab, name, *(run if one == "RUN" else one for one in given))
    assert message.lower() in said.lower()
    assert "busy" not in said
    for foreign in ("Error", "Traceback", "sqlite", "pydantic", "object has no"):
        assert foreign not in said


def test_a_fault_of_the_lab_s_own_is_told_without_its_text(lab, monkeypatch, capsys):
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("SELECT secret FROM runs")

    monkeypatch.setattr(lab.store, "get", broken)
    assert (
        refused(lab, "run_status", "a") == "The lab could not do this because of an internal error; see its terminal."
    )
    assert "SELECT secret" in capsys.readouterr().err


def test_parameters_are_of_their_types():
    for value, hint in (
        ("a", str),
        (3, int),
        (3, float),
        (0.5, float),
        (None, int | None),
        ([1], list[int] | None),
        ({}, dict),
    ):
        check_type("it", value, hint)
    with pytest.raises(UserError, match="it should have at most"):
        check_type("it", "x" * 1_000_001, str)
    assert rounds_of("0, 5,10") == [0, 5, 10]
    assert rounds_of("last") == rounds_of("all") == []


def test_an_offer_of_the_command_line_is_for_everybody(tmp_path):
    lab = Lab(tmp_path, worker=False, offered=Offer(models=("org/model",), data=("counterfact",)))
    run = run_apart(endpoint(lab, "start_run")({**SPEC, "model": "org/model", **FOREIGN["a dataset"]}, "", VISITOR))[
        "run"
    ]
    assert lab.store.get(run).spec["model"] == "org/model"
    lab.close()
    lab.store.close()


def test_what_waits_is_limited(lab, monkeypatch):
    """Runs, questions and figures take room on the disk from the moment that they are asked for."""
    run = record(lab.store, rounds=2)
    desk = Exports(lab, ("scores",))
    asked = {"kind": "zip", "pictures": {"scores": "<svg>a</svg>"}}
    for _ in range(KEPT):
        lab.store.command(run, "export", desk.payload(lab.store.get(run), asked))
    with pytest.raises(UserError, match="exports of this run are waiting already"):
        desk.payload(lab.store.get(run), asked)
    assert len(list((lab.store.get(run).folder / "exports").iterdir())) == KEPT
    monkeypatch.setattr(commands, "MOST_WAITING", KEPT)
    with pytest.raises(UserError, match="questions wait to be answered"):
        lab.store.command(run, "probe", {"prompt": "a"})
    lab.store.command(run, "stop")  # is heard nevertheless
    with pytest.raises(UserError, match="more than can be asked at once"):
        lab.store.command(run, "stop", {"x": "y" * 2_000_000})
    monkeypatch.setattr(lab_module, "MOST_WAITING", 2)
    lab.start(SPEC)
    lab.start(SPEC)
    with pytest.raises(UserError, match="2 runs are waiting already"):
        lab.start(SPEC)


def test_whoever_runs_the_lab_is_told_that_others_reach_it(lab):
    lab.exposed = "A public link leads to it."
    actions = Actions(lab)
    assert actions.attach("", OWNER)[3] == "A public link leads to it."
    assert actions.attach("", VISITOR)[3] == gr.skip()


def test_visitors_do_not_read_where_the_lab_is(lab):
    assert lab.told(f"all of it in {lab.store.home}/worker.log") == "all of it in the lab’s folder/worker.log"
