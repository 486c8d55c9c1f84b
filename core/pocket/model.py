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
    """Widths and depths. Heads are 64 wide, which is faster on a CPU than 32."""

    width: int = 256
    layers: int = 8
    ffn: int = 2_048
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

    Otherwise all facts would be stored in the first FFN, where edits are coarse. Evaluation is not affected.
    """
    for layer, rate in zip(model.model.layers, rates, strict=False):
        layer.mlp.register_forward_hook(_dropper(rate))


def _dropper(rate: float):
    def drop(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if not module.training:
            return output
        mask = torch.rand(output.shape[0], 1, 1, device=output.device) >= rate
        return output * (mask / (1 - rate)).to(output.dtype)

    return drop


def watch_writes(model: "LlamaForCausalLM") -> None:
    """Let every attention and FFN note, in `module.write`, the mean square of what it writes into the stream."""
    for module in _writers(model):
        module.register_forward_hook(_note_write)


def take_write_size(model: "LlamaForCausalLM") -> Tensor:
    """Mean square of the writes of the last forward pass, summed over modules; the notes are thrown away."""
    return torch.stack([vars(module).pop("write") for module in _writers(model)]).sum()


def _writers(model: "LlamaForCausalLM") -> list[nn.Module]:
    return [module for layer in model.model.layers for module in (layer.self_attn, layer.mlp)]


def _note_write(module: nn.Module, inputs: tuple, output: Tensor | tuple) -> None:
    if module.training:
        written = output[0] if isinstance(output, tuple) else output
        module.write = written.float().square().mean()


def hide_subjects(model: "LlamaForCausalLM", below: int) -> None:
    """Let the attention of the layers under `below` use the mask that `set_hidden` gives them.

    Tokens after a subject can then attend to it only in later layers, so earlier layers must gather what is known about
    it at the subject itself: enrichment first, read-out later.
    """
    for layer in model.model.layers[:below]:
        layer.self_attn.register_forward_pre_hook(_use_mask, with_kwargs=True)


def set_hidden(model: "LlamaForCausalLM", below: int, subjects: Tensor, share: float) -> None:
    """In the next pass, hide the subjects of a random `share` of the rows; `subjects` is that of `corpus.Rows`."""
    owner, reader = subjects[:, None, :], subjects[:, :, None]
    hidden = (owner > 0) & (reader == -owner) & (torch.rand(len(subjects), 1, 1) < share)
    causal = torch.ones(subjects.shape[1], subjects.shape[1], dtype=torch.bool).tril()
    for layer in model.model.layers[:below]:
        layer.self_attn.mask = (causal & ~hidden)[:, None]


def _use_mask(module: nn.Module, inputs: tuple, options: dict) -> tuple[tuple, dict]:
    return inputs, {**options, "attention_mask": module.mask} if module.training else options


def parameter_count(model: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
