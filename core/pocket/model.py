"""The pocket model: a stock Llama with a shape and an initialisation chosen for a bench of knowledge edits."""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .tokenizer import CONTEXT

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

HIDDEN = -1e30  # added to the scores of what attention doesn't see


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

    Down-projections start at a quarter of it, so that what they learn outweighs what they began with: the spectrum of
    trained weights is that of what was learned. Embeddings of std .3 keep the stream from being larger than what one
    FFN writes: large embeddings force large updates on whoever edits a layer. The head starts small, so that the first
    predictions are nearly uniform.
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
            if "o_proj" in name:
                std *= 0.5
            elif "down_proj" in name:
                std *= 0.25
        nn.init.normal_(parameter, std=std)


def narrow_readers(model: "LlamaForCausalLM", first: int, neurons: int) -> None:
    """Give the layers from `first` on an FFN of `neurons` neurons: enough to use what was looked up, not to look it up.

    `widened` undoes it for export.
    """
    for layer in model.model.layers[first:]:
        mlp = layer.mlp
        few = min(neurons, mlp.gate_proj.out_features)
        louder = (mlp.gate_proj.out_features / few) ** 0.5  # so that fewer neurons write as much
        mlp.gate_proj, mlp.up_proj = _linear(mlp.gate_proj.weight[:few]), _linear(mlp.up_proj.weight[:few])
        mlp.down_proj = _linear(mlp.down_proj.weight[:, :few] * louder)


@torch.no_grad()
def widened(model: "LlamaForCausalLM") -> "LlamaForCausalLM":
    """A copy with the configuration's FFN in every layer; what narrow layers lack are neurons that write nothing.

    They do read, so that the second moments of their layers have full rank.
    """
    model = copy.deepcopy(model)
    wide = model.config.intermediate_size
    generator = torch.Generator().manual_seed(0)
    for layer in model.model.layers:
        mlp = layer.mlp
        width, neurons = mlp.down_proj.weight.shape
        if neurons == wide:
            continue
        for name in ("gate_proj", "up_proj"):
            idle = torch.randn(wide - neurons, width, generator=generator) * width**-0.5
            setattr(mlp, name, _linear(torch.cat([getattr(mlp, name).weight, idle])))
        mlp.down_proj = _linear(torch.cat([mlp.down_proj.weight, torch.zeros(width, wide - neurons)], dim=1))
    return model


def _linear(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.detach().clone()
    return layer


def drop_neurons(model: "LlamaForCausalLM", below: int, rate: float) -> None:
    """In training, drop each neuron of the FFNs under `below` for a row with probability `rate`.

    So facts spread over neurons and layers, and none of these layers learns to do without its FFN as a whole.
    """
    for layer in model.model.layers[:below]:
        layer.mlp.down_proj.register_forward_pre_hook(_dropper(rate))


def _dropper(rate: float):
    def drop(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        if not module.training:
            return None
        (neurons,) = inputs
        mask = torch.rand(neurons.shape[0], 1, neurons.shape[2], device=neurons.device) >= rate
        return (neurons * (mask / (1 - rate)).to(neurons.dtype),)

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


def watch_words(model: "LlamaForCausalLM", below: int) -> None:
    """Let the last layer under `below` note, in `layer.state`, what it puts out."""
    model.model.layers[below - 1].register_forward_hook(_note_state)


def take_meaning_loss(model: "LlamaForCausalLM", below: int, meanings: Tensor) -> Tensor:
    """Cross entropy of what words mean, read by the model's own head from the state under layer `below`.

    `meanings` is that of `corpus.Rows`. So a word's state says what is known about it before anything reads it (through
    the logit lens), and every use of a word teaches the look-up.
    """
    at = meanings >= 0
    states = vars(model.model.layers[below - 1]).pop("state")[at]
    logits = model.lm_head(model.model.norm(states)).float()
    return nn.functional.cross_entropy(logits, meanings[at])


def _note_state(module: nn.Module, inputs: tuple, output: Tensor | tuple) -> None:
    if module.training:
        module.state = output[0] if isinstance(output, tuple) else output


def hide_words(model: "LlamaForCausalLM") -> None:
    """Let the attention of every layer use the mask that `set_hidden` gives it."""
    for layer in model.model.layers:
        layer.self_attn.register_forward_pre_hook(_use_mask, with_kwargs=True)


def set_hidden(model: "LlamaForCausalLM", below: int, words: Tensor, share: float) -> None:
    """In the next pass, hide names and coined words in a random `share` of the rows; `words` is that of `corpus.Rows`.

    In the layers under `below` the pieces of a word see that word alone, and the other tokens see no word; in the
    others a word is seen from outside at its last piece alone. So what is known about it must be gathered at its last
    piece, by the lower layers: enrichment first, read-out later. It also shows which pieces belong together: as long as
    nothing is known of their combination, no piece tells anything, and nothing else would teach attention to join them.
    """
    rows, length = words.shape
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    chosen = torch.rand(rows, 1, 1) < share
    owner, reader = words[:, None, :], words[:, :, None]
    inside = torch.zeros_like(words, dtype=torch.bool)  # a piece of a word that another one follows
    inside[:, :-1] = (words[:, :-1] > 0) & (words[:, :-1] == words[:, 1:])
    early, late = (owner != reader) & chosen, (owner != reader) & inside[:, None, :] & chosen
    scores = [
        torch.zeros(rows, 1, length, length, dtype=torch.bfloat16).masked_fill_(~(causal & ~hidden)[:, None], HIDDEN)
        for hidden in (early, late)
    ]
    for number, layer in enumerate(model.model.layers):
        layer.self_attn.mask = scores[number >= below]


def _use_mask(module: nn.Module, inputs: tuple, options: dict) -> tuple[tuple, dict]:
    return inputs, {**options, "attention_mask": module.mask} if module.training else options


def parameter_count(model: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
