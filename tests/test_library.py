"""The lab as a library: a notebook's cells, executed one after the other on the pocket model."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
import torch
from plotly.graph_objects import Figure

import core as lab
from core.runs.library.lane_text import lanes_of, parsed
from core.runs.spec.run_spec import RunSpec

ROOT = Path(__file__).parents[1]
QUICK = {"tasks": False, "maps": False, "probe_rows": 64, "words": 1, "perplexity": 0}
FACTS = [
    {"subject": "France", "prompt": "The capital of {} is", "target": "Rome", "truth": "Paris"},
    lab.fact("Italy", "The capital of {} is", "Oslo", truth="Rome"),
]


@pytest.fixture(scope="module")
def model(pocket):
    return lab.load("pocket", device="cpu")


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    lanes = ["memit(steps=5)", {"method": "memit", "steps": 5, "guards": [{"name": "revive", "tau": 0.1}], "name": "R"}]
    settings = {"measure": QUICK, "statistics": {"tokens": 2000}, "progress": False}
    out = tmp_path_factory.mktemp("out") / "run"
    return lab.run(model, FACTS, lanes, round_size=1, out=out, **settings)


def test_the_package_is_imported_without_torch():
    code = "import core as lab, sys; lab.sample; lab.fact; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_public_name_is_there_and_has_words():
    assert set(lab.__all__) <= set(dir(lab))
    assert all(getattr(lab, name).__doc__ for name in lab.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'runn'"):
        lab.runn  # noqa: B018


def test_tables_are_data_frames(run):
    assert (run.status, run.lanes) == ("done", ["MEMIT steps=5", "R"])
    assert list(run.rounds.groupby("lane").size()) == [3, 3]
    assert {"efficacy", "neighborhood"} <= set(run.rounds.columns)
    assert set(run.layers["lane"]) == set(run.lanes)
    assert list(run.facts["subject"]) == ["France", "Italy"] * 2
    assert "MEMIT steps=5" in run._repr_html_()
    assert run.spec["round_size"] == 1


def test_a_lane_answers_at_any_round(run, model):
    lane = run["MEMIT steps=5"]
    before, after = lane.at(0).ask("The capital of France is", 3), lane.at().ask("The capital of France is", 3)
    assert before.text.split()[0].startswith("Paris")
    assert before.text == model.ask("The capital of France is", 3).text
    assert before.next != after.next
    assert list(after.frame().columns) == ["token", "p"]
    assert isinstance(after.figure(), Figure)
    assert lane.at(0).weights == {}
    layer, weight = next(iter(lane.at(2).weights.items()))
    assert weight.shape == model.lm.original(layer).shape
    with lane.at(2).worn():
        assert torch.equal(model.lm.down(layer).weight.detach(), weight)
    assert torch.equal(model.lm.down(layer).weight.detach(), model.lm.original(layer))
    assert [fact.subject for fact in lane.at(1).edited] == ["France"]


def test_scores_are_those_that_the_run_measured(run):
    """Of two facts none is sampled away: what is scored now is what rounds.csv holds."""
    for label in run.lanes:
        found = run[label].at(2).score()
        assert list(found.frame()["target"]) == ["Rome", "Oslo"]
        row = run.rounds.query("lane == @label and round == 2").iloc[0]
        for column in ("efficacy", "efficacy_exact"):
            assert found.frame("mean")[column][0] == pytest.approx(row[column])
    other = run["R"].at(2).score([{"subject": "Japan", "prompt": "The capital of {} is", "target": "Tokyo"}])
    assert other.frame()["efficacy_exact"][0] == 1.0


def test_figures_and_studies_hold_the_runs_numbers(run):
    drawn = run.figure("scores", lanes=["R"])
    values = {round(float(y), 4) for trace in drawn.data for y in (trace.y if trace.y is not None else ())}
    measured = run.rounds.query("lane == 'R'")["efficacy"]
    assert {round(float(value), 4) for value in measured} <= values
    found = run["R"].at(2).study("blocks")
    assert set(found.frame()["lane"]) == {"R"}
    assert isinstance(found.figure(), Figure)
    assert found.protocol in unescape(found._repr_html_())
    both = run.study("blocks", rounds=2)
    assert set(both.frame()["lane"]) == set(run.lanes)


def test_a_run_is_opened_again_and_goes_on_with_more_lanes(run, model, tmp_path):
    again = lab.open_run(run.folder, model)
    pd.testing.assert_frame_equal(again.rounds, run.rounds)
    assert (again.id, again.status) == (run.id, "done")
    more = again.add({"method": "memit", "steps": 5, "guards": [{"name": "shrink", "factor": 0.5}], "name": "half"})
    assert more.lanes[-1] == "half"
    assert list(more.rounds.query("lane == 'half'")["round"]) == [0, 1, 2]
    made = again.export("factors", tmp_path / "change.safetensors", lane="half")
    assert made.about["same_bits"]
    assert made.files[0].exists()


def test_without_a_folder_the_run_is_where_the_page_looks(model):
    settings = {"measure": QUICK | {"inside": False}, "statistics": {"tokens": 2000}, "progress": False}
    run = lab.run(model, FACTS[0], "memit(steps=2)", **settings)
    assert lab.open_run(run.id, model).rounds.equals(run.rounds)


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda: lab.run("pocket", lanes="memmit"), 'no method "memmit"; did you mean "memit"'),
        (lambda: lab.run("pocket", lanes="memit + reviv(tau=0.1)"), 'did you mean "revive"'),
        (lambda: lab.run("pocket", lanes="memit + revive(tau=2)"), "tau"),
        (lambda: lab.run("pocket", lanes=[]), "no lane was given"),
        (lambda: lab.run("pocket", facts=[{"subject": "France"}]), "prompt"),
        (lambda: lab.run("pocket", rounds=3), "rounds: unknown field"),
        (lambda: lab.sample(0), "count"),
        (lambda: lab.open_run("nowhere"), '"nowhere": no run is there'),
    ],
)
def test_bad_input_is_told_in_one_line(ask, message):
    with pytest.raises(lab.UserError, match=re.escape(message)) as caught:
        ask()
    assert "\n" not in str(caught.value)


LANES = [
    ("memit", {"method": "memit"}),
    ("MEMIT", {"method": "memit"}),
    ("memit(lambda=100, layers=[1, 2])", {"method": "memit", "lambda": 100, "layers": [1, 2]}),
    (
        "memit + rect(keep=0.2) + revive(tau=.1, by=count)",
        {"method": "memit", "guards": [{"name": "rect", "keep": 0.2}, {"name": "revive", "tau": 0.1, "by": "count"}]},
    ),
    ("memit + lowrank(rank=64)", {"method": "memit", "prior": {"name": "lowrank", "rank": 64}}),
    ("rome+simie", {"method": "rome", "wrapper": {"name": "simie"}}),
    ("bold one: memit(history=true)", {"method": "memit", "history": True, "name": "bold one"}),
    (
        "b: memit(from={'lane': 'a + b', 'round': 1}, without=[3])",
        {"method": "memit", "from": {"lane": "a + b", "round": 1}, "without": [3], "name": "b"},
    ),
]


@pytest.mark.parametrize("text, lane", LANES)
def test_lanes_as_text(text, lane):
    assert parsed(text) == lane
    assert lanes_of(text) == lanes_of([text]) == lanes_of(lane) == [lane]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "should be a name"),
        ("memit +", "should be a name"),
        ("memit(lambda)", "should be an option with its value"),
        ("memit(lambda=)", "is no value"),
        ("memit(lambda=1, lambda=2)", "given twice"),
        ("memit(layers=[1, 2)", "brackets do not match"),
        ("memit(lambda=1", "a bracket is not closed"),
        ("memit(name='a)", "a quote is not closed"),
        ("memit + lowrank + full", "one prior"),
        ("memit; rome", "should be a name"),
        ("memit(lambda=__import__('os'))", "is no value"),
    ],
)
def test_lanes_that_cannot_be_read(text, message):
    with pytest.raises(lab.UserError, match=message):
        parsed(text)


def test_a_whole_spec_is_taken_as_it_is():
    from core.runs.library.arguments import spec_of

    spec = {"facts": {"source": "pocket", "count": 7}, "lanes": [{"method": "memit"}], "round_size": 2}
    assert spec_of(spec, None, None, None, {}) == RunSpec.from_dict(spec)
    sampled = spec_of("pocket", lab.sample(25, seed=3, order="shuffled"), "rome", None, {"seed": 4})
    assert sampled.facts.model_dump(include={"count", "seed", "order"}) == {"count": 25, "seed": 3, "order": "shuffled"}
    assert (sampled.round_size, sampled.seed, sampled.labels()) == (3, 4, ["ROME"])


def test_the_readmes_lines_run(model, tmp_path, monkeypatch):
    """With four facts instead of a hundred, and quick measures."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    (lines,) = [block for block in found if "import core as lab" in block]
    assert "lab.sample(100)" in lines
    whole = lab.run

    def quick(name, facts, lanes):
        assert name == "pocket"
        return whole(model, facts, lanes, measure=QUICK, statistics={"tokens": 2000}, progress=False)

    monkeypatch.setitem(lab.__dict__, "run", quick)
    names = {}
    exec(lines.replace("lab.sample(100)", "lab.sample(4)"), names)
    assert names["run"].lanes == ["MEMIT", "MEMIT + REVIVE τ=0.1"]
