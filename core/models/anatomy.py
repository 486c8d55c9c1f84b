"""Where the parts of each architecture are: one table, and a search by shape for architectures that are not in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from core.errors import UserError


@dataclass(frozen=True)
class Anatomy:
    """Paths of a causal language model's parts.

    `layers` and `norm` start at the model; `down` (the FFN's down-projection, whose weight is edited) and `mlp` start
    inside a layer (`mlp` is empty where the FFN is part of the layer itself), as does `after`: the norm between the
    down-projection and the residual stream, empty in most. `conv1d` says that the down-projection stores its weight as
    [d_in, d_out]. Everything else follows: the layer's own output is the residual stream behind it, a bias is the
    down-projection's own, and a partial forward pass begins where a layer ends (`core.models.partial_forward`).
    """

    layers: str
    down: str
    mlp: str
    norm: str
    conv1d: bool = False
    after: str = ""


LLAMA = Anatomy("model.layers", "mlp.down_proj", "mlp", "model.norm")
GEMMA = replace(LLAMA, after="post_feedforward_layernorm")
AFTER = ("post_feedforward_layernorm", "post_mlp_layernorm")  # what such a norm is called where it is searched for

ANATOMIES: dict[str, Anatomy] = {
    "gpt2": Anatomy("transformer.h", "mlp.c_proj", "mlp", "transformer.ln_f", conv1d=True),
    "gptj": Anatomy("transformer.h", "mlp.fc_out", "mlp", "transformer.ln_f"),
    "gpt_neox": Anatomy("gpt_neox.layers", "mlp.dense_4h_to_h", "mlp", "gpt_neox.final_layer_norm"),
    "opt": Anatomy("model.decoder.layers", "fc2", "", "model.decoder.final_layer_norm"),
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "gemma2": GEMMA,
    "gemma3_text": GEMMA,
    "phi3": LLAMA,
}


def anatomy_of(model: nn.Module) -> Anatomy:
    """The anatomy of `model`: from the table, by its config's `model_type`, or else by shape.

    Raises `UserError` if the parts are not where the table says, or cannot be identified by shape.
    """
    config: Any = model.config
    model_type = config.model_type
    anatomy = ANATOMIES.get(model_type)
    if anatomy is None:
        return find_anatomy(model)
    try:
        first = layers_of(model, anatomy.layers)[0]
        for part in (anatomy.down, anatomy.mlp, anatomy.after):
            first.get_submodule(part)
    except (AttributeError, IndexError) as error:
        raise UserError(
            f"This {model_type} model ({type(model).__name__}) has no part {anatomy.layers}[…].{anatomy.down}: {error}."
            " Load it with its language-modelling class, or add its anatomy to core/models/anatomy.py."
        ) from error
    return anatomy


def find_anatomy(model: nn.Module) -> Anatomy:
    """The anatomy of an unknown architecture, from the shapes of its parts.

    Searches for the only list of n_layers similar modules and, in each of them, the only linear map from the FFN's
    width to the model's width. Raises `UserError`, naming what was searched for, if either is missing or not unique.
    """
    whole: Any = model.config
    config = whole.get_text_config()
    where = f"model type {config.model_type!r} ({type(model).__name__}) is not known, and"
    lists = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.ModuleList)
        and len(part) == config.num_hidden_layers
        and len({type(layer) for layer in part}) == 1
    ]
    if len(lists) != 1:
        candidates = ", ".join(lists) or "none"
        raise UserError(
            f"The {where} looking for one list of {config.num_hidden_layers} decoder layers found {candidates}."
            " Add its anatomy to core/models/anatomy.py."
        )
    layer = layers_of(model, lists[0])[0]
    width, inner = config.hidden_size, ffn_width(config)
    downs = [name for name, part in layer.named_modules() if linear_shape(part) == (width, inner)]
    if len(downs) != 1:
        candidates = ", ".join(downs) or "none"
        raise UserError(
            f"The {where} looking in {lists[0]}[0] for one linear map from the FFN's width {inner} to the model's"
            f" width {width} found {candidates}. Add its anatomy to core/models/anatomy.py."
        )
    outside = lists[0].rpartition(".")[0]
    parent = model.get_submodule(outside)
    norms = [name for name, _ in parent.named_children() if "norm" in name or name.startswith("ln")]
    norm = f"{outside}.{norms[-1]}".strip(".") if norms else ""
    conv1d = isinstance(layer.get_submodule(downs[0]), Conv1D)
    after = next((name for name, _ in layer.named_children() if name in AFTER), "")
    return Anatomy(lists[0], downs[0], downs[0].rpartition(".")[0], norm, conv1d, after)


def layers_of(model: nn.Module, path: str) -> nn.ModuleList:
    """The decoder layers at a path. Raises `AttributeError` if there is no list."""
    layers = model.get_submodule(path)
    if not isinstance(layers, nn.ModuleList):
        raise AttributeError(f"{path} is a {type(layers).__name__}, not a list of layers")
    return layers


def embedded(model: PreTrainedModel) -> int:
    """How many token ids a model has an embedding for."""
    weight = model.get_input_embeddings().weight
    return cast(Tensor, weight).shape[0]


def ffn_width(config: Any) -> int:
    """The FFN's inner width under the names that configurations give it; 4 x the model's width by default."""
    for name in ("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "inner_dim"):
        if getattr(config, name, None):
            return getattr(config, name)
    return 4 * config.hidden_size


def linear_shape(part: nn.Module) -> tuple[int, int] | None:
    """(d_out, d_in) of a linear map however it is stored; None for anything else."""
    if isinstance(part, nn.Linear):
        return part.out_features, part.in_features
    if isinstance(part, Conv1D):
        return part.nf, part.nx
    return None
