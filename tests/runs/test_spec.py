"""Specs: what is accepted, what is refused, and in which words."""

import json
import subprocess
import sys

import pytest

from core.errors import UserError
from core.runs.spec.lanes import in_order
from core.runs.spec.problems import SpecError
from core.runs.spec.run_spec import RunSpec

FACT = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}


def spec(**changes):
    return {"facts": {"items": [FACT]}, "lanes": [{"method": "memit"}]} | changes


def guarded(**guard):
    return spec(lanes=[{"method": "memit", "guards": [guard]}])


def test_defaults_are_filled_in_and_a_spec_comes_back_from_its_dictionary():
    read = RunSpec.from_dict(spec())
    assert read.model == "pocket"
    assert read.round_size == 100
    assert read.measure.every == 1
    assert read.labels() == ["MEMIT"]
    assert RunSpec.from_dict(json.loads(json.dumps(read.as_dict()))) == read


def test_labels_say_what_a_lane_is():
    lanes = [
        {"method": "memit"},
        {"method": "memit", "guards": [{"name": "revive"}]},
        {"method": "memit", "lambda": 100, "guards": [{"name": "revive", "tau": 0.05}]},
        {"method": "memit", "layers": [1, 2], "name": "mine"},
        {"method": "memit"},
        {"method": "memit", "guards": [{"name": "shrink", "match": "MEMIT"}]},
        {"method": "memit", "prior": "lowrank", "wrapper": "simie"},
        {"method": "emmet", "prior": {"name": "lowrank", "gamma": 0.9}},
    ]
    assert RunSpec.from_dict(spec(lanes=lanes)).labels() == [
        "MEMIT",
        "MEMIT + REVIVE τ=0.1",
        "MEMIT λ=100 + REVIVE τ=0.05",
        "mine",
        "MEMIT (2)",
        "MEMIT + shrink match=MEMIT",
        "MEMIT-F in SimIE",
        "EMMET-F γ=0.9",
    ]


def test_a_lane_that_is_matched_to_another_runs_after_it():
    lanes = [
        {"name": "c", "method": "memit", "guards": [{"name": "shrink", "match": "b"}]},
        {"name": "a", "method": "memit"},
        {"name": "b", "method": "memit", "guards": [{"name": "revive"}]},
    ]
    assert in_order(RunSpec.from_dict(spec(lanes=lanes)).lanes) == [2, 0, 1]


def nested(depth):
    return [nested(depth - 1)] if depth else []


REFUSED = [
    (spec(fcats={}), 'fcats: unknown field; did you mean "facts"?'),
    (spec(facts={"item": []}), 'facts.item: unknown field; did you mean "items"?'),
    (spec(measure={"evry": 2}), 'measure.evry: unknown field; did you mean "every"?'),
    (spec(measure={"every": 0}), "measure.every: should be greater than or equal to 1, not 0"),
    (spec(measure={"rounds": [1, 0]}), "measure.rounds[1]: should be greater than or equal to 1, not 0"),
    (spec(measure={"rounds": [1], "every": 2}), 'measure: give either "every" or "rounds"'),
    (spec(measure={"maps": "tsnee"}), "measure.maps: should be"),
    (
        spec(round_size="many"),
        'round_size: should be a valid integer, unable to parse string as an integer, not "many"',
    ),
    (spec(round_size=0), "round_size: should be greater than or equal to 1, not 0"),
    ({"lanes": [{"method": "memit"}]}, "facts: missing"),
    ({"facts": {"items": [FACT]}}, "lanes: missing"),
    (spec(lanes=[]), "lanes: List should have at least 1 item"),
    (spec(lanes=["memit"]), "lanes[0]: should be a valid dictionary"),
    (spec(lanes=[{"method": "memmit"}]), 'did you mean "memit"?'),
    (spec(lanes=[{"guards": []}]), "lanes[0].method: missing; name one of: "),
    (spec(lanes=[{"method": "memit", "lamda": 3}]), 'lanes[0].lamda: unknown field; did you mean "lambda"?'),
    (spec(lanes=[{"method": "memit", "lambda": "3"}]), "lanes[0].lambda: lambda should be of type float"),
    (spec(lanes=[{"method": "memit", "lambda": -1}]), "lanes[0].lambda: lambda should be > 0"),
    (spec(lanes=[{"method": "memit", "prior": "half"}]), "lanes[0].prior: There is no prior 'half'"),
    (spec(lanes=[{"method": "memit", "prior": {"name": "lowrank", "gama": 1}}]), "lanes[0].prior.gama: unknown field"),
    (spec(lanes=[{"method": "memit", "wrapper": 3}]), "lanes[0].wrapper: should be a name"),
    (spec(lanes=[{"method": "memit", "guards": {"name": "revive"}}]), "lanes[0].guards: should be a list"),
    (spec(lanes=[{"method": "memit", "guards": ["revive"]}]), "lanes[0].guards[0]: should be an object with its name"),
    (guarded(name="reviv", tau=0.1), "lanes[0].guards[0].name: There is no guard 'reviv': did you mean \"revive\"?"),
    (guarded(name="revive", tau=1.5), "lanes[0].guards[0].tau: tau should be"),
    (guarded(name="revive", tau=0), "lanes[0].guards[0].tau: tau should be > 0"),
    (guarded(name="revive", tau=float("nan")), "lanes[0].guards[0].tau: tau should be"),
    (guarded(name="revive", tua=0.1), 'lanes[0].guards[0].tua: unknown field; did you mean "tau"?'),
    (guarded(name="shrink"), 'needs either "factor"'),
    (guarded(name="shrink", match="MEMOT"), 'no lane is called "MEMOT"'),
    (guarded(name="shrink", match="MEMIT + shrink match=MEMIT + shrink"), "no lane is called"),
    (
        spec(lanes=[{"method": "memit", "name": "a", "guards": [{"name": "shrink", "match": "a"}]}]),
        '"a" is matched to itself',
    ),
    (spec(lanes=[{"method": "memit", "name": "a"}] * 2), 'lanes[1].name: "a" is also the name of lanes[0]'),
    (spec(facts={"items": []}), "facts.items: no facts"),
    (spec(facts={"items": [{"subject": "", "prompt": ""}]}), "facts.items: no facts"),
    (spec(facts={"items": [FACT, {**FACT, "prompt": "The capital is"}]}), "facts.items[1].prompt: does not mention"),
    (spec(facts={"items": [{**FACT, "prompt": "{} and {}"}]}), "facts.items[0].prompt: 2 slots"),
    (spec(facts={"items": [{**FACT, "target": " "}]}), "facts.items[0].target: empty"),
    (
        spec(facts={"items": [{**FACT, "tarjet": "x"}]}),
        'facts.items[0]: unknown column "tarjet"; did you mean "target"?',
    ),
    (spec(facts={"items": [FACT] * 20_001}), "facts.items: 20,001 rows, at most 20,000 facts fit one run"),
    (spec(facts={"source": "pocket", "count": 10**6}), "facts.count: 1,000,000 facts, at most 20,000"),
    (spec(facts={"source": "pocket", "items": [FACT]}), 'facts: give either "items"'),
    (spec(seed=-1), "seed: should be greater than or equal to 0, not -1"),
    (spec(facts={"items": [{**FACT, "target": "\ud83d"}]}), "facts.items[0].target: holds half of a character"),
    (spec(lanes=[{"method": "\udfff"}]), "lanes[0].method: holds half of a character"),
    (spec(seed=10**400), "seed: a whole number of more than 18 digits; give a smaller one"),
    (spec(lanes=[{"method": "memit", "lambda": 10**5000}]), "lanes[0].lambda: a whole number of more than 18 digits"),
    (spec(lanes=[{"method": "memit", "lambda": float("inf")}]), "lanes[0].lambda: lambda should be a finite number"),
    (spec(round_size="inf"), "round_size: should be"),
    (spec(round_size=float("inf")), "round_size: should be a finite number, not inf"),
    (spec(seed="1e999"), "seed: should be a valid integer"),
    (
        spec(facts={"items": [{**FACT, "target": 10**5000}]}),
        "facts.items[0].target: a number of more than 2,000 digits",
    ),
    (spec(facts={"items": [{**FACT, "target": float("inf")}]}), "facts.items[0].target: inf is not a finite number"),
    (spec(**{"round-size": 3}), 'round-size: unknown field; did you mean "round_size"?'),
    (spec(measure={"int": 3}), "measure.int: unknown field"),
    (spec(**{"a\nb": 1}), "a b: unknown field"),
    (spec(lanes=[{"method": "memit", 3: 4}]), "lanes[0][3]"),
    (spec(lanes=nested(50)), "lanes[0][0]: nested too deeply"),
    ([], "a spec is an object"),
]


@pytest.mark.parametrize("given, message", REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_is_wrong_is_said_at_its_place_in_one_line(given, message):
    with pytest.raises(SpecError) as caught:
        RunSpec.from_dict(given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(SpecError) as caught:
        RunSpec.from_dict(
            spec(round_size=0, seed=-1, lanes=[{"method": "memit", "lamda": 1}], facts={"items": [{}, 3]})
        )
    assert {problem.where for problem in caught.value.problems} >= {"round_size", "seed", "lanes[0].lamda"}
    assert "and 1 more problem" in str(caught.value)


def test_a_home_may_allow_fewer_facts():
    with pytest.raises(UserError, match="at most 1 facts"):
        RunSpec.from_dict(spec(facts={"items": [FACT, FACT]}), max_facts=1)


@pytest.mark.parametrize(
    "content, message",
    [
        (b'{"model": ', "line 1, column 11: not JSON"),
        (b"\xff\xfe{}", "not UTF-8 text"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"lanes": [{"method": "memit", "lambda": 1, "lambda": 2}]}', r'lanes.0.: "lambda" is given twice; keep one'),
        (b'{"seed": 1, "seed": 2}', 'spec.json: "seed" is given twice; keep one'),
        (b'{"lanes": [{"lambda": 1e999}]}', r"spec.json: lanes.0..lambda: 1e999 is larger than numbers can be"),
        (b'{"lanes": [{"tau": NaN}]}', r"lanes.0..tau: NaN is no number in JSON"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "seed: a number of 5,000 digits"),
        (b'{"seed": ' + b"9" * 400 + b"}", "seed: a whole number of more than 18 digits"),
        (None, "No such file or directory; give the path"),
    ],
)
def test_files_that_are_no_specs(tmp_path, content, message):
    path = tmp_path / "spec.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        RunSpec.from_json(path)


def test_store_and_spec_need_no_torch():
    code = (
        "import sys, core.runs.spec.run_spec, core.runs.store.store, core.runs.progress.events\n"
        "import core.runs.worker.process, core.runs.cli.run\n"
        "core.runs.spec.run_spec.RunSpec.from_dict({'facts': {'source': 'pocket'}, 'lanes': [{'method': 'memit',"
        " 'guards': [{'name': 'revive'}]}]})\n"
        "sys.exit('torch' in sys.modules or 'gradio' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
