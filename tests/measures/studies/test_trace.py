import math
from dataclasses import replace

import pytest
import torch

from core.charts.plot import charted
from core.errors import UserError
from core.measures.studies.trace import SEEDS, Trace, prompt_of
from core.measures.studies.trace.causal import MLP, ROLES, STATES, embedding_std, noise, traced
from tests.measures.studies.checks import well_formed

QUICK = {"facts": 3, "samples": 2, "window": 2}


@pytest.fixture(scope="module")
def knowing_case(plain_case, unedited):
    """Facts whose answer is what the model says; the last prompt ends with its subject."""
    lm, facts = plain_case.lm, [*unedited[:4], replace(unedited[4], prompt="The river is {}")]

    def answer(fact):
        logits = lm.model(torch.tensor([lm.encode(fact.text)])).logits[0, -1]
        for token in logits.argsort(descending=True).tolist():
            word = lm.tokenizer.decode([token])
            if word.startswith(" ") and word.strip() and lm.encode(fact.text + word)[-1] == token:
                return word.strip() if token == int(logits.argmax()) else None
        return None

    known = [replace(fact, target=word) for fact in facts if (word := answer(fact))]
    assert len(known) >= 2
    return replace(plain_case, unedited=known, facts=[])


@pytest.fixture(scope="module")
def found(knowing_case):
    return Trace(**QUICK, restore="all").run(knowing_case, [])


def test_effects_are_averaged_over_tokens_of_a_role_and_then_over_facts(found, knowing_case):
    well_formed(found)
    facts = knowing_case.unedited[:3]
    assert [row["subject"] for row in found.tables["facts"]] == [fact.subject for fact in facts]
    prompts = [prompt_of(knowing_case, fact) for fact in facts]
    size = 3 * embedding_std(knowing_case.lm, prompts)
    for part, window in ((STATES, 1), (MLP, 2)):
        effects = []
        for place, prompt in enumerate(prompts):
            added = noise(knowing_case.lm, prompt, 2, size, knowing_case.seed * SEEDS + place)
            effects.append(traced(knowing_case.lm, prompt, added, part, window).effect)
        for role in ROLES:
            own = [
                effect[:, [i for i, name in enumerate(prompt.roles) if name == role]].mean(1)
                for prompt, effect in zip(prompts, effects, strict=True)
                if role in prompt.roles
            ]
            rows = [row for row in found.tables["trace"] if (row["restored"], row["role"]) == (part, role)]
            assert len(rows) == (knowing_case.lm.n_layers if own else 0)
            for row in rows:
                assert row["effect"] == pytest.approx(float(sum(own)[row["layer"]]) / len(own), abs=1e-10)
                assert row["low"] <= row["effect"] + 1e-12
                assert row["facts"] == len(own)


def test_the_heat_map_draws_the_table(found):
    assert len(found.charts) == 6
    rows = [{"lane": "a", **row} for row in found.tables["trace"]]
    (heat,) = charted(found.charts[0].as_dict(), rows).data
    own = {(row["role"], str(row["layer"])): row["effect"] for row in rows if row["restored"] == STATES}
    assert list(heat.x) == ["0", "1", "2", "3"]
    assert list(heat.y) == [role for role in ROLES if (role, "0") in own]
    for role, line in zip(heat.y, heat.z, strict=True):
        assert list(line) == [own[role, layer] for layer in heat.x]


def test_a_seed_gives_the_same_numbers(knowing_case):
    study = Trace(**QUICK | {"facts": 2})
    first, again, other = (study.run(replace(knowing_case, seed=seed), []).tables["trace"] for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_what_is_said_of_the_result(found, knowing_case):
    best = max((r for r in found.tables["trace"] if r["restored"] == STATES and r["role"] == ROLES[2]), key=effect)
    assert f"gives most back at layer {best['layer']}: {best['effect']:.2f}" in " ".join(found.notes)
    weak = Trace(**QUICK, noise=1e-6).run(knowing_case, [])
    assert any(note.startswith("the noise takes little") for note in weak.notes)
    assert all(math.isclose(row["effect"], 0, abs_tol=1e-4) for row in weak.tables["trace"])
    unknown = [replace(fact, target="zyx qw") for fact in knowing_case.unedited]
    with pytest.raises(UserError, match="says none of"):
        Trace(**QUICK).run(replace(knowing_case, unedited=unknown), [])


def effect(row):
    return row["effect"]
