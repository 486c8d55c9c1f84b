"""Prefixes are the same for the same seed; keys are weighted means of plain activations."""

import pytest
import torch

from core.editing.lane.contexts import prefixes, sample_contexts
from core.editing.values.keys import Reading, prompts, states
from core.models.tokens import slot_last
from tests.editing.common import FACTS, keys

CONTEXTS = ["The river runs", "I like Rome."]


def test_contexts_are_seeded_and_of_the_unedited_model(lm):
    found = sample_contexts(lm, 3, count=7, length=8)
    assert found == sample_contexts(lm, 3, count=7, length=8)
    assert found != sample_contexts(lm, 4, count=7, length=8)
    with lm.worn({1: lm.original(1) * 50}):
        assert sample_contexts(lm, 3, count=7, length=8) == found
    assert [text.split()[0][:3] for text in found[:3]] == ["The", "The", "Bec"]
    assert sample_contexts(lm, 3, count=0) == []
    assert len(sample_contexts(lm, 3, count=2, seeds="bos")) == 2


def test_braces_are_stripped(lm, monkeypatch):
    monkeypatch.setattr(lm.tokenizer, "batch_decode", lambda rows, **_: ["a {} b{c}"] * len(rows))
    assert sample_contexts(lm, 0, count=1) == ["a b c"]


def test_prefixes_are_sentences():
    assert prefixes(CONTEXTS) == ["", "The river runs. ", "I like Rome. "]


def plain(lm, fact, prefix, layer):
    """One forward pass of the whole prompt, the input of the down-projection at the subject's last token."""
    text, last = slot_last(lm.tokenizer, fact.prompt, fact.subject, prefix)
    found = []
    handle = lm.down(layer).register_forward_pre_hook(lambda _, args: found.append(args[0]))
    with torch.no_grad():
        hidden = lm.model(torch.tensor([lm.encode(text)]), output_hidden_states=True).hidden_states
    handle.remove()
    return found[0].reshape(len(lm.encode(text)), -1)[last], [h[0, last] for h in hidden[1:]]


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_keys_are_half_bare_and_half_in_context(toy, family):
    lm = toy(family, "float64")
    found = keys(lm, FACTS, 1, CONTEXTS)
    assert found.shape == (lm.d_ffn, len(FACTS))
    for column, fact in enumerate(FACTS):
        bare, first, second = (plain(lm, fact, prefix, 1)[0] for prefix in prefixes(CONTEXTS))
        torch.testing.assert_close(found[:, column], bare / 2 + first / 4 + second / 4)
    torch.testing.assert_close(keys(lm, FACTS, 1, [])[:, 0], plain(lm, FACTS[0], "", 1)[0])


def test_current_states_are_of_the_bare_prompt(toy):
    lm = toy("llama", "float64")
    rows = prompts(lm, FACTS, CONTEXTS)
    read = Reading(lm, rows).at(0, 2)
    key, state = read.key, read.value
    torch.testing.assert_close(key, keys(lm, FACTS, 0, CONTEXTS))
    torch.testing.assert_close(state, states(lm, rows, 2))
    for column, fact in enumerate(FACTS):
        torch.testing.assert_close(state[:, column], plain(lm, fact, "", 0)[1][2])


@pytest.mark.parametrize("family", ["llama", "gpt2", "gptj"])
def test_reading_while_layers_are_edited_is_reading_anew(toy, family):
    lm = toy(family, "float64")
    rows, weights = prompts(lm, FACTS, CONTEXTS), {}
    reading = Reading(lm, rows)
    for layer in (0, 2):  # layer 1 is passed over
        with lm.worn(weights):
            read, anew = reading.at(layer, 2, mean_values=True), Reading(lm, rows).at(layer, 2, mean_values=True)
        for name in ("key", "bare", "value"):
            torch.testing.assert_close(getattr(read, name), getattr(anew, name), rtol=1e-9, atol=1e-12)
        g = torch.Generator().manual_seed(layer)
        change = torch.randn(lm.d_model, lm.d_ffn, generator=g, dtype=torch.float64)
        weights[layer] = lm.original(layer) + 0.3 * change
    with lm.worn(weights):
        torch.testing.assert_close(reading.value(2), states(lm, rows, 2), rtol=1e-9, atol=1e-12)
        assert (reading.value(2) - anew.value).abs().max() > 1e-3
