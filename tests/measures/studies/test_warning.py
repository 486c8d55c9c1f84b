import json
import math
from dataclasses import replace

import pytest
import torch

from core.measures.inside.key_overlap import key_overlap
from core.measures.outside.perplexity import perplexity
from core.measures.outside.scores import Answers, recall
from core.measures.outside.texts import NO_PROSE, Texts
from core.measures.studies.warning import EarlyWarning
from core.models.generation import generate


def first_word(lm, prompt):
    """What the model says first, as a word."""
    return generate(lm, [prompt], 1)[0].strip()


def wearing(case, at, weights):
    """The lane, with other weights after a round."""
    made = replace(case)
    made.weights = lambda round_: weights if round_ == at else case.weights(round_)
    return made


def test_signs_are_those_of_the_lane(plain_case):
    lm = plain_case.lm
    known = [replace(fact, target=word) for fact in plain_case.unedited if (word := first_word(lm, fact.text))]
    found = EarlyWarning(tokens=50).run(replace(plain_case, unedited=known), [1, 3])
    value = {(row["round"], row["sign"]): row["value"] for row in found.tables["signs"]}
    with lm.worn(plain_case.weights(3)):
        assert value[3, "perplexity"] == perplexity(lm, plain_case.texts.prose, 50)
        said = recall(Answers(lm), known)
    assert value[0, "unedited_recall"] > 0
    assert value[3, "unedited_recall"] == sum(said) / len(said)
    moved = [
        float((plain_case.matrix(3, n) - lm.original(n)).norm() / lm.original(n).norm()) for n in plain_case.layers
    ]
    assert value[3, "change"] == pytest.approx(max(moved))
    keys = {n: [plain_case.update(t).keys[n] for t in (1, 2, 3)] for n in plain_case.layers}
    overlaps = [key_overlap(k[2], torch.cat(k[:2], 1)) for k in keys.values()]
    assert value[3, "key_overlap"] == pytest.approx(sum(overlaps) / len(overlaps))
    assert (1, "key_overlap") not in value
    assert "did not measure tasks" in found.notes[0]


def test_how_early_the_flag_came(plain_case, tmp_path, monkeypatch):
    """Tasks whose mean falls from 1 to their chance of .5, one round after perplexity passed a low limit."""
    monkeypatch.setattr(plain_case.lm, "reference", "pocket")
    tasks = tmp_path / "pocket" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "index.json").write_text(json.dumps({"one": {"chance": 0.25}, "two": {"chance": 0.75}}))
    means = {0: 1.0, 1: 0.95, 2: 0.9, 3: 0.74}
    scores = {at: {"task_mean": mean, "task_one": mean, "task_two": mean} for at, mean in means.items()}
    case = replace(plain_case, assets=tmp_path, scores=scores)
    found = EarlyWarning(change=1e-6, ls=0.999999, perplexity=1e9, unedited_recall=1e-9).run(case, [1, 2, 3])
    verdict = {row["collapse"]: row for row in found.tables["verdict"]}
    assert verdict["tasks"]["collapsed"] == 3  # half of the way to .5 is .75
    assert verdict["tasks"]["flagged"] == 1
    assert verdict["tasks"]["rounds_early"] == 2
    assert "moved by" in verdict["tasks"]["why"]
    assert found.notes == []
    crossed = {row["sign"]: row["round"] for row in found.tables["crossings"]}
    assert (crossed["change"], crossed["ls"], crossed["perplexity"]) == (1, 1, None)
    (at_limit,) = [r for r in found.tables["signs"] if r["sign"] == "change" and r["round"] == 1]
    assert at_limit["of_limit"] == pytest.approx(at_limit["value"] / 1e-6)
    never = EarlyWarning(chance=0.0).run(case, [3]).tables["verdict"]
    assert [row["collapsed"] for row in never if row["collapse"] == "tasks"] == [None]


def test_a_null_edit_raises_no_flag(null_case):
    found = EarlyWarning().run(null_case, [1, 2, 3])
    assert all(row["flagged"] is None and row["collapsed"] is None for row in found.tables["verdict"])


def test_broken_weights_stop(plain_case):
    broken = {layer: torch.full_like(plain_case.lm.original(layer), math.nan) for layer in plain_case.layers}
    found = EarlyWarning().run(wearing(plain_case, 2, broken), [1, 2])
    assert "is broken: the perplexity of held-out text is not finite" in found.notes[0]
    assert found.tables["verdict"][0]["flagged"] == 2
    bare = EarlyWarning().run(replace(plain_case, texts=Texts(), unedited=()), [1])
    assert bare.notes[1:] == [f"no perplexity: {NO_PROSE}", "there are no unedited facts to test"]
