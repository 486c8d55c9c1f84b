"""Factors of a change: summed, compressed and truncated as plain matrices would be; on their model again; as LoRA."""

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from core.editing.deltas.factors import apply_factors, module_name, read_factors, save_factors
from core.editing.deltas.lane_change import balanced, change, decomposed, distance, fewest, numerical_rank, rank_within
from core.editing.deltas.lora import lora_config, save_lora
from core.editing.lane.state import LaneState, LayerUpdates
from core.editing.linalg.lowrank import LowRank
from core.errors import UserError
from tests.editing.common import FACTS

DOUT, DIN = 7, 11
PEFT_ASKS = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"  # what peft asks transformers


def drawn(columns, seed=0, shape=(DOUT, DIN), dtype=torch.float32, scale=1.0):
    """A random change."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(d, columns, generator=generator, dtype=dtype) for d in shape)
    return LowRank(left * scale, right)


def rounds_of(deltas, corrections=None):
    """Rounds of one layer, 3, without keys."""
    return [
        LayerUpdates(
            {3: delta},
            {3: torch.zeros(DIN, 0)},
            corrections={3: (corrections or {})[n]} if n in (corrections or {}) else {},
        )
        for n, delta in enumerate(deltas)
    ]


@pytest.mark.parametrize("columns", [0, 1, 4, 7, 9])
def test_the_decomposition_is_that_of_the_matrix(columns):
    delta = drawn(columns, dtype=torch.float64)
    found = decomposed(delta)
    wanted = torch.linalg.svdvals(delta.left @ delta.right.T)[: len(found.sigma)]
    torch.testing.assert_close(found.sigma, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close((found.u * found.sigma) @ found.vh, delta.left @ delta.right.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("columns, kept", [([1, 2], 3), ([3, 2, 4, 1], DOUT), ([DOUT], DOUT), ([9, 1, 9, 1], DOUT)])
def test_a_change_is_the_sum_of_its_rounds(columns, kept):
    deltas = [drawn(n, seed) for seed, n in enumerate(columns)]
    found = change(rounds_of(deltas))[3]
    assert found.columns == kept
    plain = sum(d.left.double() @ d.right.double().T for d in deltas)
    torch.testing.assert_close(found.dense(), plain, rtol=0, atol=1e-12)


def test_of_corrections_only_the_last_round_s_is_worn():
    deltas, corrections = [drawn(1, n) for n in range(3)], {n: drawn(2, 10 + n) for n in range(2)}
    rounds = rounds_of(deltas, corrections)
    for upto, last in ((1, corrections[0]), (2, corrections[1]), (3, None)):
        plain = sum(d.dense().double() for d in deltas[:upto]) + (last.dense().double() if last else 0)
        torch.testing.assert_close(change(rounds[:upto])[3].dense(), plain, rtol=0, atol=1e-5)


def test_a_change_is_what_the_lane_wears(lm):
    shape = lm.original(1).shape
    state = LaneState.base(lm, [1, 2])
    rounds = [
        LayerUpdates(
            {layer: drawn(3, 10 * n + layer, shape, scale=0.1) for layer in (1, 2)},
            {layer: torch.zeros(shape[1], 0) for layer in (1, 2)},
            corrections={2: drawn(1, 5, shape, scale=0.1)} if n == 3 else {},
        )
        for n in range(4)
    ]
    for round_ in rounds:
        state.apply(round_)
    for layer, delta in change(rounds).items():
        worn = state.weights[layer].double() - lm.original(layer).double()
        assert delta.columns == (13 if layer == 2 else 12)
        assert 0 < distance(worn, delta) < 1e-6


def test_columns_that_are_needed_stay_bit_for_bit_and_others_go():
    delta = drawn(4)
    kept = fewest(delta, decomposed(delta), torch.float32)
    assert torch.equal(kept.left, delta.left)
    assert torch.equal(kept.right, delta.right)
    twice = delta.plus(delta.scaled(2.0))
    assert twice.columns == 8
    fewer = fewest(twice, decomposed(twice), torch.float32)
    assert fewer.columns == 4
    assert distance(3 * delta.left.double() @ delta.right.double().T, fewer) < 1e-6


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_truncation_leaves_out_the_tail_of_the_singular_values(rank):
    delta = drawn(6)
    dense = delta.left.double() @ delta.right.double().T
    sigma = torch.linalg.svdvals(dense)
    tail = float(sigma[rank:].square().sum().sqrt() / sigma.square().sum().sqrt())
    got = fewest(delta, decomposed(delta), torch.float32, rank=rank)
    assert got.columns == rank
    assert distance(dense, got) == pytest.approx(tail, rel=1e-5)


@pytest.mark.parametrize("error", [0.5, 0.2, 0.05, 1e-3])
def test_the_rank_within_an_error_is_the_smallest(error):
    delta = drawn(6)
    dense = delta.left.double() @ delta.right.double().T
    got = fewest(delta, decomposed(delta), torch.float64, error=error)
    assert distance(dense, got) <= error * (1 + 1e-9)
    assert distance(dense, balanced(decomposed(delta), got.columns - 1)) > error


def test_ranks_by_hand():
    sigma = torch.tensor([4.0, 3.0, 0.0], dtype=torch.float64)
    assert [rank_within(sigma, error) for error in (0.0, 0.59, 0.61, 0.99)] == [2, 2, 1, 1]
    assert numerical_rank(torch.tensor([1.0, 2e-7, 1e-7]), torch.float32) == 2
    assert numerical_rank(torch.tensor([1.0, 1e-2, 1e-3]), torch.bfloat16) == 2
    assert numerical_rank(torch.zeros(3), torch.float32) == numerical_rank(torch.zeros(0), torch.float32) == 0


def test_no_change_is_a_column_of_zeros():
    for delta in (LowRank(torch.zeros(DOUT, 2), torch.ones(DIN, 2)), drawn(0)):
        nothing = fewest(delta, decomposed(delta), torch.float32)
        assert (nothing.columns, float(nothing.dense().abs().max())) == (1, 0.0)
        assert distance(torch.zeros(DOUT, DIN), nothing) == 0


@pytest.mark.parametrize("dtype, bound", [(torch.bfloat16, 2**-7), (torch.float16, 2**-10)])
def test_short_types_err_by_their_precision_however_the_factors_are_scaled(dtype, bound):
    delta = drawn(3)
    uneven = LowRank(delta.left * 1e-9, delta.right * 1e6)
    dense = uneven.left.double() @ uneven.right.double().T
    assert distance(dense, fewest(uneven, decomposed(uneven), dtype)) < bound


@pytest.fixture
def changed(toy):
    """changed("gpt2"): a tiny model, and a change of two of its layers of different rank."""

    def make(family, dtype="float32"):
        lm = toy(family, dtype)
        return lm, {layer: drawn(n, layer, lm.original(1).shape, scale=0.3) for layer, n in ((1, 2), (2, 5))}

    return make


def base_of(lm):
    return {"base": {"reference": "toy", "fingerprint": lm.fingerprint, "dtype": "float32"}}


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_factors_come_back_onto_their_model(changed, tmp_path, family):
    lm, delta = changed(family)
    path = tmp_path / "change.safetensors"
    save_factors(path, lm, delta, base_of(lm))
    factors, about = read_factors(path)
    assert set(factors) == {module_name(lm, layer) for layer in delta}
    assert about["base"]["fingerprint"] == lm.fingerprint
    weights = apply_factors(lm, path)
    for layer, weight in weights.items():
        assert torch.equal(weight, lm.original(layer) + delta[layer].left @ delta[layer].right.T)
        stored = lm.down(layer).weight + 0  # by hand, as the file's own words say
        change_ = delta[layer].dense().T if lm.anatomy.conv1d else delta[layer].dense()
        with lm.worn(weights):
            torch.testing.assert_close(lm.down(layer).weight + 0, stored + change_, rtol=0, atol=1e-5)


def test_a_model_in_bfloat16_wears_the_same_but_for_a_last_bit(changed, tmp_path):
    lm, delta = changed("llama", "bfloat16")
    state = LaneState.base(lm, [2])
    columns = delta[2].columns
    for n in range(columns):  # a round per column: five roundings in float32 where the factors have one
        one = LowRank(delta[2].left[:, n : n + 1], delta[2].right[:, n : n + 1])
        state.apply(LayerUpdates({2: one}, {2: torch.zeros(len(one.right), 0)}))
    save_factors(tmp_path / "f", lm, {2: delta[2]}, base_of(lm))
    lived, again = (w[2].bfloat16().double() for w in (state.weights, apply_factors(lm, tmp_path / "f")))
    assert (lived != again).double().mean() < 1e-3
    assert float(((lived - again).abs() / lived.abs()).max()) <= 2**-7  # one step of bfloat16


def test_factors_that_do_not_belong_are_refused(changed, toy, tmp_path):
    lm, delta = changed("llama")
    other, path = toy("mistral"), tmp_path / "change.safetensors"
    save_factors(path, lm, delta, base_of(lm))
    with pytest.raises(UserError, match="was made on toy in float32 with other weights"):
        apply_factors(other, path)
    assert set(apply_factors(other, path, any_base=True)) == {1, 2}  # the same shapes
    with pytest.raises(UserError, match=r"changes model.layers.1.mlp.down_proj, which .* does not have"):
        apply_factors(toy("gpt2"), path, any_base=True)
    save_factors(path, lm, {1: drawn(1)}, base_of(lm))
    with pytest.raises(UserError, match="but the change is 7 x 11"):
        apply_factors(lm, path)
    save_file({"left": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="holds no factors"):
        apply_factors(lm, path)
    about = {"about": json.dumps({"format": "edit-lab factors 1", "base": []})}
    name = "model.layers.1.mlp.down_proj"
    save_file({f"{name}.left": torch.zeros(7, 2)}, path, metadata=about)
    with pytest.raises(UserError, match=r"it lacks .*right\); export it anew"):
        apply_factors(lm, path)
    save_file({f"{name}.left": torch.zeros(7, 2), f"{name}.right": torch.zeros(11, 3)}, path, metadata=about)
    with pytest.raises(UserError, match="do not belong together"):
        apply_factors(lm, path)
    path.write_text("no tensors")
    for there in (path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="cannot be read as a file of factors"):
            apply_factors(lm, there)


def logits(model, lm):
    ids = torch.tensor([lm.encode(FACTS[0].text)])
    with torch.no_grad():
        return model(ids).logits


@pytest.mark.filterwarnings(PEFT_ASKS)
@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "gpt_neox"])
def test_peft_loads_the_adapter_and_says_the_same(changed, tmp_path, family):
    lm, delta = changed(family)
    written = save_lora(tmp_path, lm, delta, None, {"lane": "a"})
    assert [path.name for path in written] == ["adapter_config.json", "adapter_model.safetensors"]
    base = AutoModelForCausalLM.from_pretrained(lm.reference).eval()
    before = logits(base, lm)
    adapted = PeftModel.from_pretrained(base, tmp_path)
    weights = {layer: lm.original(layer) + d.left @ d.right.T for layer, d in delta.items()}
    with lm.worn(weights):
        wanted = logits(lm.model, lm)
    assert float((wanted - before).abs().max()) > 0.1
    torch.testing.assert_close(logits(adapted, lm), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits(adapted.merge_and_unload(), lm), wanted, rtol=1e-4, atol=1e-4)


def test_layers_of_different_rank_have_patterns_and_no_scaling(changed, tmp_path):
    lm, delta = changed("gpt2")
    config = lora_config(lm, delta, "openai-community/gpt2")
    assert config["target_modules"] == ["transformer.h.1.mlp.c_proj", "transformer.h.2.mlp.c_proj"]
    assert (config["r"], config["lora_alpha"], config["fan_in_fan_out"]) == (5, 5, True)
    assert config["rank_pattern"] == config["alpha_pattern"] == {"transformer.h.1.mlp.c_proj": 2}
    same = lora_config(lm, {1: delta[1], 2: delta[1]}, None)
    assert (same["r"], same["rank_pattern"]) == (2, {})
    save_lora(tmp_path, lm, delta, None, {"lane": "a"})
    assert json.loads((tmp_path / "adapter_config.json").read_text())["rank_pattern"] == config["rank_pattern"]
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert tensors["base_model.model.transformer.h.2.mlp.c_proj.lora_A.weight"].shape == (5, 96)
