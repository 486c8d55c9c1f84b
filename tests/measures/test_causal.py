"""Causal tracing against a slow plain version: one full run for each sample, token and layer, with hooks by hand."""

import pytest
import torch

from core.errors import UserError
from core.measures.studies.trace.causal import (
    ATTENTION,
    MLP,
    STATES,
    Prompt,
    attention,
    embedding_std,
    noise,
    traced,
    window_of,
)
from core.models.loading import load_model
from tests import toys

NAMES = {"gpt2": "attn", "gptj": "attn", "gpt_neox": "attention"}  # of others: self_attn


@pytest.fixture(scope="module", params=list(toys.CONFIGS))
def model(request, tmp_path_factory):
    folder = toys.tiny(tmp_path_factory.mktemp(request.param), request.param)
    return load_model(str(folder), device="cpu", dtype="float64")


def prompt_for(lm):
    text, (first, last) = lm.slot_span("I like {} in the", "Ada Marlow")
    ids = lm.encode(text)
    with torch.no_grad():
        answer = int(lm.model(torch.tensor([ids])).logits[0, -1].argmax())
    return Prompt(tuple(ids), first, last, answer)


def part_of(lm, layer, part):
    block = lm.layers[layer]
    if part == STATES:
        return block
    return lm.down(layer) if part == MLP else getattr(block, NAMES.get(lm.model_type, "self_attn"))


def run(lm, prompt, added=None, kept=None, restore=()):
    """The answer's probability in one run of one row. `restore`: (module, token, values) each."""
    handles = []

    def noised(_, __, output):
        output = output.clone()
        output[0, prompt.first : prompt.last + 1] += added
        return output

    def restoring(token, values):
        def hook(_, __, output):
            whole = (output[0] if isinstance(output, tuple) else output).clone()
            whole.view(-1, whole.shape[-1])[token] = values
            return (whole, *output[1:]) if isinstance(output, tuple) else whole

        return hook

    def keeping(name):
        def hook(_, __, output):
            whole = output[0] if isinstance(output, tuple) else output
            kept[name] = whole.reshape(-1, whole.shape[-1]).clone()

        return hook

    if added is not None:
        handles.append(lm.model.get_input_embeddings().register_forward_hook(noised))
    if kept is not None:
        for part in (STATES, MLP, ATTENTION):
            for layer in range(lm.n_layers):
                handles.append(part_of(lm, layer, part).register_forward_hook(keeping((part, layer))))
    for module, token, values in restore:
        handles.append(module.register_forward_hook(restoring(token, values)))
    with torch.no_grad():
        logits = lm.model(torch.tensor([prompt.ids])).logits[0, -1]
    for handle in handles:
        handle.remove()
    return float(logits.softmax(0)[prompt.answer])


@pytest.mark.parametrize("part, window", [(STATES, 1), (MLP, 1), (MLP, 3), (ATTENTION, 2)])
def test_effects_are_those_of_one_run_for_each_sample_token_and_layer(model, part, window):
    prompt, clean = prompt_for(model), {}
    added = noise(model, prompt, 2, 3 * embedding_std(model, [prompt]), seed=5)
    found = traced(model, prompt, added, part, window)
    exactness = 1e-6 if model.model_type == "gptj" else 1e-10  # its attention is in float32
    assert found.clean == pytest.approx(run(model, prompt, kept=clean), abs=exactness)
    plain = [run(model, prompt, added[s]) for s in range(2)]
    assert found.corrupted == pytest.approx(sum(plain) / 2, abs=exactness)
    assert found.restored.shape == (model.n_layers, len(prompt.ids) - prompt.first)
    for layer in range(model.n_layers):
        layers = [layer] if part == STATES else window_of(layer, window, model.n_layers)
        for token in range(prompt.first, len(prompt.ids)):
            slow = [
                run(
                    model,
                    prompt,
                    added[s],
                    restore=[(part_of(model, n, part), token, clean[part, n][token]) for n in layers],
                )
                for s in range(2)
            ]
            assert float(found.restored[layer, token - prompt.first]) == pytest.approx(sum(slow) / 2, abs=exactness)
    if part == STATES:  # the last state of the last layer is all that the answer depends on
        assert float(found.restored[-1, -1]) == pytest.approx(found.clean, abs=exactness)
        assert float(found.effect[-1, 0]) == pytest.approx(0, abs=exactness)


def test_rows_are_run_in_groups(model, monkeypatch):
    prompt = prompt_for(model)
    added = noise(model, prompt, 3, 0.5, seed=1)
    whole = traced(model, prompt, added, MLP, 2)
    monkeypatch.setattr(model, "token_budget", 2 * len(prompt.ids))
    torch.testing.assert_close(
        traced(model, prompt, added, MLP, 2).restored,
        whole.restored,
        rtol=0,
        atol=1e-6 if model.model_type == "gptj" else 1e-10,
    )
    assert traced(model, prompt, added * 0, STATES).effect.abs().max() < 1e-6  # without noise nothing is lost


def test_windows_noise_and_roles(lm):
    assert [window_of(layer, 3, 4) for layer in range(4)] == [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3]]
    assert window_of(2, 1, 4) == [2]
    prompt = Prompt((1, 2, 3, 4, 5, 6, 7, 8, 9), 1, 4, 0)
    assert prompt.roles == [
        "first subject token", *["middle subject tokens"] * 2, "last subject token", "first token after it",
        *["further tokens"] * 2, "last token",
    ]  # fmt: skip
    assert Prompt((1, 2, 3), 1, 1, 0).roles == ["last subject token", "last token"]
    assert Prompt((1, 2, 3), 1, 2, 0).roles == ["first subject token", "last token"]
    one, other = (noise(lm, prompt, 2000, 0.5, seed) for seed in (3, 4))
    assert one.equal(noise(lm, prompt, 2000, 0.5, 3))
    assert not one.equal(other)
    assert float(one.std()) == pytest.approx(0.5, rel=0.01)
    embedded = lm.model.get_input_embeddings().weight[[2, 3, 4, 5]]
    assert embedding_std(lm, [prompt]) == pytest.approx(float(embedded.std()), abs=1e-12)


def test_a_layer_without_attention_is_told(lm, monkeypatch):
    monkeypatch.setattr(type(lm.layers[0]), "named_children", lambda self: iter(()))
    with pytest.raises(UserError, match="0 parts of LlamaDecoderLayer are called attention"):
        attention(lm, 0)
