"""The end of the text as a target: an option of every method that trains on targets, and what it does."""

import pytest
import torch

from core.editing import methods
from core.editing.lane.state import LaneState
from core.editing.lane.targets import target_ids
from core.editing.rounds.edit_round import edit_round
from core.editing.settings.parameters import parameters
from core.editing.values.objective import make_task
from tests.editing.common import FACTS, changing, recipe_of, session_of

UNTRAINED = {
    "ft_l": "one distribution for all tokens of a target has no end",
    "serac": "nothing is trained on the facts of a round",
    "mend": "its hyper-network is trained on gradients of targets without an end",
}
SETTINGS = {
    "memit": {"steps": 12, "lr": 0.1, "kl": 0.0, "lambda": 0.01},
    "pmet": {"steps": 20, "lr": 0.5, "kl": 0.0, "lambda": 0.001, "clamp": 20.0},
    "grace": {"layers": [1], "steps": 40, "contexts": 1},
    "lora": {"layers": [1], "steps": 6},
    "ultraedit": {"layers": [1]},
}


def test_every_method_that_trains_on_targets_has_the_option():
    asked = [name for name in changing("weights", "states") if name not in UNTRAINED]
    found = {name: {entry.name: entry for entry in parameters(methods.get(name))}.get("eos") for name in asked}
    assert [name for name, entry in found.items() if entry is None] == []
    assert [name for name, entry in found.items() if entry and entry.default] == ["locft"]  # as its authors train


def test_the_end_is_one_more_target_token(lm):
    end = lm.tokenizer.eos_token_id
    assert target_ids(lm, FACTS[0].text, "Rome", eos=True) == [*target_ids(lm, FACTS[0].text, "Rome"), end]
    plain, ended = (make_task(lm, FACTS, ["I like you."], with_kl=True, eos=eos) for eos in (False, True))
    for row, more, wanted, all_wanted in zip(plain.rows, ended.rows, plain.targets, ended.targets, strict=True):
        if not wanted:  # a row of the KL
            assert row == more
            continue
        assert all_wanted == [*wanted, end]
        assert more.ids == (*row.ids, wanted[-1])
        assert more.reads == (*row.reads, row.reads[-1] + 1)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_text_ends_more_likely_after_a_target_that_was_taught_to_end(lm, name):
    def ended(eos):
        recipe = recipe_of(lm, method=name, eos=eos, **SETTINGS[name])
        state = LaneState.base(lm, recipe.layers)
        state.apply(edit_round(lm, state, FACTS[:2], recipe, session_of(lm)))
        logs = []
        with lm.worn(state.worn), torch.no_grad():
            for fact in FACTS[:2]:
                head = lm.encode(fact.text)
                ids = [*head, *target_ids(lm, fact.text, fact.target)]
                with lm.ending([0], [len(head) - 1], len(ids)):
                    logits = lm.model(torch.tensor([ids]), use_cache=False).logits[0, -1]
                logs.append(float(logits.log_softmax(0)[lm.tokenizer.eos_token_id]))
        return sum(logs)

    assert ended(True) > ended(False) + 0.03
