"""The pocket model: a stock Llama with a shape and an initialisation chosen for a bench of knowledge edits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .tokenizer import CONTEXT

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Widths and depths. Heads are 64 wide, which a CPU likes better than 32."""

    width: int = 256
    layers: int = 8
    ffn: int = 1_536
    head: int = 64

    def __post_init__(self) -> None:
        if self.width % self.head:
            raise ValueError(f"the width must be a multiple of {self.head}, not {self.width}")


def new_model(tokenizer: "PreTrainedTokenizerFast", shape: Shape, seed: int) -> "LlamaForCausalLM":
    """A freshly initialised float32 model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.width // shape.head,
        num_key_value_heads=shape.width // shape.head,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    initialise(model)
    return model


@torch.no_grad()
def initialise(model: "LlamaForCausalLM") -> None:
    """Normal weights of std 1/sqrt(fan in), so that each layer writes about as much as the stream holds.

    Embeddings of std .3 keep the stream from being larger than what one FFN writes: large embeddings force large
    updates on whoever edits a layer. The head starts small, so that the first predictions are nearly uniform.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            continue
        if "embed_tokens" in name:
            std = 0.3
        elif "lm_head" in name:
            std = 0.02
        else:
            std = parameter.shape[1] ** -0.5
            if "o_proj" in name or "down_proj" in name:
                std *= 0.5
        nn.init.normal_(parameter, std=std)


def add_stochastic_depth(model: "LlamaForCausalLM", rates: tuple[float, ...]) -> None:
    """In training, drop layer i's whole FFN output for a row with probability `rates[i]`.

    Else all facts gather in the first FFN, where edits are coarse. Evaluation is not affected.
    """
    for layer, rate in zip(model.model.layers, rates, strict=False):
        layer.mlp.register_forward_hook(_dropper(rate))


def _dropper(rate: float):
    def drop(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if not module.training:
            return output
        kept = torch.rand(output.shape[0], 1, 1, device=output.device) >= rate
        return output * (kept / (1 - rate)).to(output.dtype)

    return drop


def parameter_count(model: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(parameter.numel() for parameter in model.parameters())
