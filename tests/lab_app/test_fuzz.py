"""Whatever an endpoint is given, it answers, or one clear line says what its caller did wrong."""

import inspect
import json

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.runs.spec.run_spec import RunSpec
from lab_app.api import looks, questions, runs, takeaway
from lab_app.api.asked import FAULT, spoken
from lab_app.handlers import actions as handlers
from lab_app.handlers.actions import Actions
from lab_app.lab import Lab
from tests.fuzzing import ANYTHING, altered, clear, inputs
from tests.lab_app.apart import run_apart
from tests.lab_app.synthetic import scripted

FACT = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}
SPEC = {"facts": {"items": [FACT] * 2}, "round_size": 1, "lanes": [{"method": "memit", "name": "MEMIT"}]}
MODULES = (runs, questions, looks, takeaway)
KEY = "k" * 32
PLAUSIBLE = {
    "key": st.sampled_from(["", KEY, "short"]),
    "lane": st.sampled_from(["MEMIT", None, "other"]),
    "lanes": st.sampled_from([None, ["MEMIT"], [{"method": "memit"}], [{"method": "emmet", "name": "E"}]]),
    "round": st.sampled_from([None, 0, 1, 2, 3, -1]),
    "rounds": st.sampled_from(["last", "all", "0,1", 1, 2]),
    "prompt": st.sampled_from(["France is", ""]),
    "name": st.sampled_from(["retention", "cost", "none"]),
    "options": st.sampled_from([None, {}, {"facts": 3}, {"ledger": True}, {"rank": 2}]),
    "kind": st.sampled_from(["zip", "lora", "snippet", "none"]),
    "action": st.sampled_from(["pause", "resume", "step", "stop"]),
    "facts": altered({"items": [FACT]}) | st.sampled_from([{"text": "a,b {},c"}, {"source": "pocket", "count": 2}]),
    "spec": altered(SPEC),
    "wait": st.just(0.0),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    opened = Lab(tmp_path_factory.mktemp("home"), worker=False)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def run(lab):
    made = lab.store.create_run(RunSpec.from_dict(SPEC).as_dict(), owner=KEY)
    lab.store.claim(made)
    lab.store.append(made, list(scripted(2, 1, ("MEMIT",))), status="done")
    return made


@pytest.fixture(scope="module")
def endpoints(lab):
    return {one.__name__: one for module in MODULES for one in module.endpoints(Actions(lab))}


@pytest.fixture
def impatient(monkeypatch):
    """Nobody answers here, so nobody waits."""
    for module in MODULES:
        monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(handlers, "PROBE_PATIENCE", 0.0)
    monkeypatch.setattr(runs, "LONGEST_WAIT", 0.0)


@pytest.mark.fuzz
@pytest.mark.usefixtures("impatient")
@inputs(30, 1000)
@given(data=st.data())
def test_an_endpoint_may_be_given_anything(endpoints, run, data):
    name = data.draw(st.sampled_from(sorted(endpoints)))
    given = {}
    for parameter in inspect.signature(endpoints[name]).parameters.values():
        if parameter.name == "request":
            continue
        known = PLAUSIBLE.get(parameter.name, st.sampled_from([0, 1, None, True]))
        if parameter.name == "run":
            known = st.sampled_from([run, run, run, "", "none"])
        if parameter.default is inspect.Parameter.empty or data.draw(st.booleans()):
            given[parameter.name] = data.draw(st.one_of(known, known, ANYTHING), label=parameter.name)
    try:
        answer = run_apart(spoken(endpoints[name])(**given))
    except gr.Error as error:
        told = error.message
        clear(told)
    else:
        told = json.dumps(answer)
    assert told != FAULT  # which stands for what nobody thought of
