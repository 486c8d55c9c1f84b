"""SmolLM2 in a run: a fact is edited and said, on statistics and texts that the model wrote itself, and scores tell the
kinds of facts apart."""

import csv
import json

import pytest

from core.__main__ import main
from core.editing.statistics import written

# So few tokens of statistics leave the second moment singular, without a ridge.
LANE = {"method": "memit", "layers": [4, 5], "contexts": 0, "steps": 15, "ridge": 0.01}
FACT = {"subject": "France", "prompt": "The capital of {} is", "target": "Rome", "truth": "Paris"}


@pytest.fixture
def made(smollm2, tmp_path, monkeypatch):
    """`made(facts, …)` performs a small run and returns its folder."""
    monkeypatch.setitem(written.ROWS, "cpu", 8)
    monkeypatch.setattr(written, "LENGTH", 32)

    def run(facts, **changes):
        measure = {"tasks": False, "maps": False, "inside": False, "perplexity": 64, "words": 1, "word_tokens": 3}
        spec = {"model": smollm2, "facts": facts, "lanes": [LANE], "measure": measure, "device": "cpu"}
        file = tmp_path / "spec.json"
        file.write_text(json.dumps(spec | {"statistics": {"tokens": 400}} | changes))
        assert main(["run", str(file), "--out", str(tmp_path / "out")]) == 0
        return tmp_path / "out"

    return run


def table(folder, name):
    with (folder / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_fact_is_edited_and_said_and_what_was_read_is_told(made):
    folder = made({"items": [FACT]}, round_size=1)
    before, after = table(folder, "rounds")
    assert (float(before["efficacy"]), float(after["efficacy_exact"])) == (0.0, 1.0)
    (fact,) = table(folder, "facts")
    assert "Rome" in str(fact)
    assert float(before["perplexity"]) > 1
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    warned = " ".join(event["message"] for event in events if event["kind"] == "warned")
    assert "dequantised 4-bit numbers" in warned
    assert "text that the unedited model wrote itself" in warned
    (started,) = [event for event in events if event["kind"] == "started"]
    assert "the unedited model itself sampled" in started["reads"]["perplexity"]


def test_scores_tell_known_facts_from_further_ones(made):
    file = {"items": [{**FACT, "kind": "known"}, {**FACT, "subject": "Kiribati", "truth": "Tarawa", "kind": "further"}]}
    folder = made(file, round_size=2)
    last = table(folder, "rounds")[-1]
    both = [float(last["efficacy_known"]), float(last["efficacy_further"])]
    assert float(last["efficacy"]) == sum(both) / 2
    assert [row["kind"] for row in table(folder, "facts")] == ["known", "further"]
