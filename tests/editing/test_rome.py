"""ROME, its mismatch of keys, and R-ROME without it."""

import pytest
import torch

from core.editing.failure import EditFailure
from core.editing.lane.state import LaneState
from core.editing.methods.emmet import Emmet
from core.editing.methods.r_rome import RRome
from core.editing.methods.rome import Rome
from core.editing.rounds.edit_round import edit_round
from core.editing.values.keys import prompts, states
from core.models.forward import activations
from core.models.tokens import slot_last
from tests.editing.algebra import EXACT, KEYS, MOMENT, RESIDUAL, context, eye, random
from tests.editing.common import FACTS, recipe_of, session_of

KEY, BARE, MISSING = KEYS[:, :1], random(14, 1, seed=8), RESIDUAL[:, :1]


@pytest.mark.parametrize("moment", [True, False])
def test_rome_divides_by_the_bare_key_and_r_rome_by_the_mean_one(moment):
    u = torch.linalg.inv(MOMENT) @ KEY if moment else KEY
    rome = Rome(moment=moment).update(KEY, MISSING, context(bare=BARE)).dense()
    torch.testing.assert_close(rome, MISSING @ u.T / (u.T @ BARE), **EXACT)
    torch.testing.assert_close(rome @ BARE, MISSING, **EXACT)
    repaired = RRome(moment=moment).update(KEY, MISSING, context(bare=BARE)).dense()
    torch.testing.assert_close(repaired, MISSING @ u.T / (u.T @ KEY), **EXACT)
    torch.testing.assert_close(repaired @ KEY, MISSING, **EXACT)


def test_r_rome_is_emmet_of_one_fact():
    for ridge in (0.0, 0.3):
        one = RRome(ridge=ridge).update(KEY, MISSING, context(bare=BARE))
        other = Emmet(ridge=ridge, lambda_=7.0).update(KEY, MISSING, context())
        torch.testing.assert_close(one.dense(), other.dense(), **EXACT)


def test_half_of_the_prefixes_are_half_as_long():
    assert Rome().samples() == ((10, 5), (10, 10))
    assert Rome(contexts=0).samples() == ((0, 5), (0, 10))


def flat_mean(lm, fact, contexts, layer: int, site: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean over the bare prompt and all prefixes, the bare prompt's), at the subject, prompt by prompt."""
    found = []
    for prefix in ["", *(f"{text.rstrip('.')}. " for text in contexts)]:
        text, last = slot_last(lm.tokenizer, fact.prompt, fact.subject, prefix)
        found.append(activations(lm, [text], [last], [layer], site)[layer][0])
    return torch.stack(found).mean(0), found[0]


@pytest.mark.parametrize("method", ["rome", "r_rome"])
def test_a_round_goes_fact_by_fact(toy, method):
    """Each fact's value is sought and written on the model that the one before left; v* is met where it should be."""
    lm = toy("gpt2", "float64")
    session, recipe = session_of(lm), recipe_of(lm, method=method, layers=[1], lr=0.02)
    state = LaneState.base(lm, recipe.layers)
    update = edit_round(lm, state, FACTS, recipe, session)
    assert update.updates[1].columns == len(FACTS)
    contexts = session.contexts(recipe.method)
    moment = session.moment(1)
    inverse = torch.linalg.inv(moment + recipe.method.ridge * moment.trace() / lm.d_ffn * eye(lm.d_ffn))
    weight = lm.original(1).clone()
    for i, fact in enumerate(FACTS):
        with lm.worn({1: weight}):
            (mean, bare), (out, _) = (flat_mean(lm, fact, contexts, 1, site) for site in ("key", "down"))
            start = states(lm, prompts(lm, [fact], ()), 1, "down")[:, 0]
        target = start + update.values.delta[:, i]
        torch.testing.assert_close(update.values.start[:, i], start, rtol=1e-8, atol=1e-9)
        u = inverse @ mean
        if method == "rome":
            delta = torch.outer(target - start, u) / (u @ bare)
        else:
            delta = torch.outer(target - out, u) / (u @ mean)
        found = torch.outer(update.updates[1].left[:, i], update.updates[1].right[:, i])
        torch.testing.assert_close(found, delta, rtol=1e-6, atol=1e-9)
        assert float(update.values.delta[:, i].norm() / start.norm()) <= recipe.method.clamp + 1e-9
        weight = weight + found
    state.apply(update)
    torch.testing.assert_close(state.weights[1], weight)
    assert torch.equal(state.history[1], update.keys[1])


def test_an_exploding_update_is_told(lm, session):
    recipe = recipe_of(lm, method="rome", layers=[1])

    def vanishing(keys, context):
        return torch.zeros_like(keys)

    object.__setattr__(recipe.method, "direction", vanishing)
    with pytest.raises(EditFailure, match="The capital of France is Rome.*layer 1"):
        edit_round(lm, LaneState.base(lm, (1,)), FACTS, recipe, session)
