"""Every architecture of the table is what the table says; others are found by shape or refused."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GPTNeoConfig, MixtralConfig
from transformers.pytorch_utils import Conv1D

from core.errors import UserError
from core.models.anatomy import ANATOMIES, anatomy_of, find_anatomy, linear_shape

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 50,
    "intermediate_size": 80,
    "ffn_dim": 80,
    "n_inner": 80,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "head_dim": 8,
    "rotary_dim": 4,
    "word_embed_proj_dim": 32,
}


def small(model_type: str) -> nn.Module:
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **SMALL))


@pytest.mark.parametrize("model_type", ANATOMIES)
def test_the_table_fits(model_type):
    model = small(model_type)
    anatomy = anatomy_of(model)
    layers = model.get_submodule(anatomy.layers)
    assert len(layers) == 3
    for layer in layers:
        down = layer.get_submodule(anatomy.down)
        assert linear_shape(down) == (32, 80)
        assert isinstance(down, Conv1D) == anatomy.conv1d
        assert layer.get_submodule(anatomy.mlp) is not None
        assert bool(anatomy.after) == (model_type in ("gemma2", "gemma3_text"))
        assert not anatomy.after or "Norm" in type(layer.get_submodule(anatomy.after)).__name__
    assert "Norm" in type(model.get_submodule(anatomy.norm)).__name__


@pytest.mark.parametrize("model_type", ANATOMIES)
def test_the_search_by_shape_finds_what_the_table_knows(model_type):
    model = small(model_type)
    found, known = find_anatomy(model), ANATOMIES[model_type]
    for part in ("layers", "down", "conv1d", "norm", "after"):
        assert getattr(found, part) == getattr(known, part)


@pytest.mark.parametrize("model_type", ANATOMIES)
def test_the_ffn_ends_where_its_output_joins_the_residual_stream(model_type):
    """A layer's output moves by what is added where the FFN ends: nothing comes after that in any of the families."""
    model = small(model_type).eval()
    anatomy = anatomy_of(model)
    layer = model.get_submodule(anatomy.layers)[1]
    outputs, added = [], torch.randn(32, generator=torch.Generator().manual_seed(0))
    layer.register_forward_hook(lambda _, __, out: outputs.append(out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        model(torch.tensor([[3, 4, 5]]))
        layer.get_submodule(anatomy.after or anatomy.down).register_forward_hook(lambda _, __, out: out + added)
        model(torch.tensor([[3, 4, 5]]))
    torch.testing.assert_close(outputs[1] - outputs[0], added.expand(1, 3, 32))


def test_nothing_like_layers_is_refused_with_what_was_looked_for():
    model = small("llama")
    model.config.model_type, model.config.num_hidden_layers = "unheard_of", 7
    with pytest.raises(UserError, match="'unheard_of'.*looking for one list of 7 decoder layers found none"):
        anatomy_of(model)


def test_parts_that_are_not_where_the_table_says_are_told():
    model = small("llama")
    model.config.model_type = "gpt2"
    with pytest.raises(UserError, match=r"no part transformer\.h"):
        anatomy_of(model)


def test_an_unknown_architecture_is_found():
    model = AutoModelForCausalLM.from_config(
        GPTNeoConfig(
            hidden_size=32,
            num_layers=2,
            attention_types=[[["global"], 2]],
            num_heads=4,
            vocab_size=50,
            intermediate_size=80,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    assert anatomy_of(model).down == "mlp.c_proj"
    assert not anatomy_of(model).conv1d


def test_the_text_part_of_a_model_that_also_sees_is_found():
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**SMALL, "query_pre_attn_scalar": 8, "vocab_size": 64, "image_token_id": 5}
    config = AutoConfig.for_model(
        "gemma3", text_config=text, vision_config={**vision, "image_size": 28, "patch_size": 14}, mm_tokens_per_image=4
    )
    anatomy = anatomy_of(AutoModelForCausalLM.from_config(config))
    assert anatomy.layers == "model.language_model.layers"
    assert (anatomy.down, anatomy.after) == ("mlp.down_proj", "post_feedforward_layernorm")
    assert anatomy.norm == "model.language_model.norm"


def test_an_ambiguous_architecture_is_refused_with_what_was_looked_for():
    experts = AutoModelForCausalLM.from_config(
        MixtralConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=50,
            intermediate_size=80,
            num_local_experts=2,
        )
    )
    with pytest.raises(UserError, match="one linear map from the FFN's width 80 to the model's width 32"):
        anatomy_of(experts)
