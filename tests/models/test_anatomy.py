"""Every architecture of the table is what the table says; others are found by shape or refused."""

import pytest
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
    assert "Norm" in type(model.get_submodule(anatomy.norm)).__name__


@pytest.mark.parametrize("model_type", ANATOMIES)
def test_the_search_by_shape_finds_what_the_table_knows(model_type):
    model = small(model_type)
    found, known = find_anatomy(model), ANATOMIES[model_type]
    assert (found.layers, found.down, found.conv1d, found.norm) == (known.layers, known.down, known.conv1d, known.norm)


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
