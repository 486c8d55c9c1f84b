"""Original weights, worn weights, fingerprints, tokens."""

import pytest
import torch

from core.models.language_model import LanguageModel, fingerprint
from core.models.loading import load_model
from tests import toys


@pytest.fixture(params=["llama", "gpt2"])
def lm(request, tmp_path) -> LanguageModel:
    toys.FAMILIES[request.param](tmp_path)
    return load_model(str(tmp_path), device="cpu")


def bits(lm: LanguageModel) -> list[bytes]:
    return [p.detach().contiguous().view(torch.uint8).numpy().tobytes() for p in lm.model.parameters()]


def logits(lm: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return lm.model(torch.tensor([lm.encode("The capital of France is")])).logits


def test_the_original_maps_keys_to_outputs_however_it_is_stored(lm):
    weight = lm.original(1)
    assert weight.shape == (lm.d_model, lm.d_ffn)
    key = torch.randn(3, lm.d_ffn)
    bias = lm.down(1).bias
    torch.testing.assert_close(lm.down(1)(key), key @ weight.T + (0 if bias is None else bias))


def test_worn_weights_act_and_every_bit_comes_back(lm):
    before, said = bits(lm), logits(lm)
    changed = {layer: lm.original(layer) + torch.randn(lm.d_model, lm.d_ffn) for layer in (0, 2)}
    with lm.worn(changed):
        key = torch.randn(2, lm.d_ffn)
        bias = lm.down(2).bias
        torch.testing.assert_close(lm.down(2)(key), key @ changed[2].T + (0 if bias is None else bias))
        assert not torch.allclose(logits(lm), said)
    assert bits(lm) == before
    assert torch.equal(logits(lm), said)


def test_worn_nests_and_states_the_complete_set(lm):
    before = bits(lm)
    outer = {1: lm.original(1) * 2}
    with lm.worn(outer):
        doubled = bits(lm)
        with lm.worn({2: lm.original(2) * 3}):
            assert torch.equal(lm.original(1), outer[1] / 2)
            with lm.worn({}):
                assert bits(lm) == before
        assert bits(lm) == doubled
        with pytest.raises(KeyError), lm.worn({0: lm.original(0) * 5}):
            raise KeyError
        assert bits(lm) == doubled
    assert bits(lm) == before


def test_a_wrong_shape_is_refused_before_anything_changes(lm):
    before = bits(lm)
    with pytest.raises(ValueError, match="layer 1 wears"), lm.worn({0: lm.original(0) * 2, 1: torch.ones(1, 1)}):
        pass
    assert bits(lm) == before


def test_bfloat16_models_have_float32_masters(tmp_path):
    lm = load_model(str(toys.tiny_llama(tmp_path)), device="cpu", dtype="bfloat16")
    before = bits(lm)
    assert lm.original(0).dtype == torch.float32
    with lm.worn({0: lm.original(0) + 0.5}):
        pass
    assert bits(lm) == before


def test_the_fingerprint_is_of_config_and_weights(lm, tmp_path_factory):
    same = load_model(lm.reference, device="cpu")
    assert same.fingerprint == lm.fingerprint
    with torch.no_grad():
        next(same.model.parameters()).view(-1)[17] += 1e-3
    assert fingerprint(same.model) != lm.fingerprint
    same = load_model(lm.reference, device="cpu")
    same.model.config.pad_token_id = 5
    assert fingerprint(same.model) != lm.fingerprint
    with lm.worn({1: lm.original(1) * 2}):
        assert load_model(lm.reference, device="cpu").fingerprint == lm.fingerprint


def test_a_large_model_is_sampled(lm, monkeypatch):
    monkeypatch.setattr("core.models.language_model.WHOLE_BYTES", 0)
    assert fingerprint(lm.model) == fingerprint(lm.model) != lm.fingerprint


def test_texts_are_remembered(lm):
    once = lm.encode_all(["a", "b", "a"])
    assert once[0] is once[2]
    assert lm.encode("a") is once[0]
