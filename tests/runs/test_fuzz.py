"""Whatever a spec, a lane or a study's options say, they are taken, or one clear line says why not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.editing.deltas.ledger import Ledger
from core.errors import UserError
from core.measures import studies
from core.runs.cli.measure import options_of
from core.runs.opened.catalogue import built
from core.runs.opened.selected_rounds import selected_rounds
from core.runs.spec.differences import compared
from core.runs.spec.problems import SpecError
from core.runs.spec.run_spec import RunSpec
from tests.fuzzing import ANYTHING, KEYS, TEXTS, altered, clear, damaged, inputs

SPEC = {
    "title": "t",
    "model": "pocket",
    "chat": False,
    "facts": {
        "items": [{"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "aliases": ["Lyons"]}],
        "count": 1,
        "seed": 0,
        "order": "given",
        "unedited": 3,
    },
    "round_size": 1,
    "lanes": [
        {"method": "memit", "layers": [1, 2], "lambda": 3.0, "guards": [{"name": "revive", "tau": 0.1}], "name": "a"},
        {
            "method": "emmet",
            "prior": {"name": "lowrank", "gamma": 0.5},
            "wrapper": "simie",
            "from": {"lane": "a", "round": 1},
        },
        {
            "method": "memit",
            "guards": [{"name": "shrink", "match": "a"}],
            "from": {"lane": "a", "round": 1},
            "without": [9],
        },
    ],
    "measure": {"every": 1, "tasks": ["rte"], "sample": 3, "maps": "pca", "probes": ["France is"]},
    "statistics": {"tokens": 10, "dataset": "a/b", "split": "train"},
    "seed": 0,
    "device": "cpu",
    "dtype": "float32",
    "resolved": {"versions": {"torch": "2"}},
}


def taken(read):
    """The spec, if it is one: then it comes back from its own dictionary."""
    try:
        spec = read()
    except SpecError as error:
        for problem in error.problems:
            clear(problem.message)
        clear(error)
    except UserError as error:
        clear(error)
    else:
        text = json.dumps(spec.as_dict(), allow_nan=False)
        assert RunSpec.from_dict(json.loads(text)).as_dict() == spec.as_dict()


@pytest.mark.fuzz
@inputs(60, 2000)
@given(data=altered(SPEC) | ANYTHING)
def test_a_spec_may_say_anything(data):
    taken(lambda: RunSpec.from_dict(data))


@pytest.mark.fuzz
@inputs(40, 800)
@given(content=damaged(json.dumps(SPEC).encode()))
def test_a_file_of_a_spec_may_hold_anything(tmp_path, content):
    path = tmp_path / "spec.json"
    path.write_bytes(content)
    taken(lambda: RunSpec.from_json(path))


@pytest.mark.fuzz
@inputs(30, 800)
@given(name=st.sampled_from(studies.names()) | TEXTS, options=st.data())
def test_a_study_may_be_given_anything(name, options):
    known = [p["name"] for p in _study(name)]
    given = options.draw(st.dictionaries(st.sampled_from(known) | KEYS if known else KEYS, ANYTHING, max_size=3))
    try:
        built(name, given)
    except UserError as error:
        clear(error)


def _study(name):
    from core.runs.opened.catalogue import catalogue

    return next((study["options"] for study in catalogue() if study["name"] == name), [])


@pytest.mark.fuzz
@inputs(30, 400)
@given(rounds=TEXTS | st.text("0123456789,-al ", max_size=8), lanes=st.none() | st.lists(TEXTS, max_size=2))
def test_rounds_may_be_asked_for_in_any_words(tmp_path, rounds, lanes):
    try:
        selected_rounds(["MEMIT"], Ledger(tmp_path), lanes, rounds)
    except UserError as error:
        clear(error)


@pytest.mark.fuzz
@inputs(30, 400)
@given(words=st.lists(TEXTS | st.builds("{}={}".format, KEYS, TEXTS), max_size=3))
def test_options_on_the_command_line_may_say_anything(words):
    try:
        options_of(words)
    except UserError as error:
        clear(error)


@pytest.mark.fuzz
@inputs(30, 400)
@given(before=st.dictionaries(KEYS, ANYTHING, max_size=4), now=st.dictionaries(KEYS, ANYTHING, max_size=4))
def test_any_past_is_compared_with_any_present(before, now):
    clear(compared(before, now)[1])
