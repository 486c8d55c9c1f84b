"""Causal tracing: how much of an answer returns when a part of a corrupted run is restored to that of the clean run.

Meng et al. 2022 (https://arxiv.org/abs/2202.05262), section 2. The clean run reads the prompt; the corrupted runs read
it with Gaussian noise on the embeddings of the subject's tokens. Then one token's state after a layer, or its outputs
of the FFN or of attention in a window of layers, are put back as in the clean run. A restored run is that of the
corrupted one up to the restored layer, so only the layers above it are run, for all tokens and samples together.

Shapes: n tokens of a prompt, t of them from the subject's first on, s samples of noise, l layers, d the model's width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.errors import UserError
from core.models.hooks import logits_at, skipping_layers
from core.models.language_model import LanguageModel

STATES, MLP, ATTENTION = "states", "FFN outputs", "attention outputs"
ROLES = ("first subject token", "middle subject tokens", "last subject token") + (
    "first token after it",
    "further tokens",
    "last token",
)


@dataclass(frozen=True)
class Prompt:
    """A prompt's ids, the subject's `first` and `last` token in it, and the first token of its answer."""

    ids: tuple[int, ...]
    first: int
    last: int
    answer: int

    @property
    def roles(self) -> list[str]:
        """The role of each token from the subject's first on. The prompt's last token has no other role, and a subject
        of one token is its last."""
        names = []
        for place in range(self.first, len(self.ids)):
            if place == len(self.ids) - 1:
                names.append(ROLES[5])
            elif place <= self.last:
                names.append(ROLES[2] if place == self.last else ROLES[0] if place == self.first else ROLES[1])
            else:
                names.append(ROLES[3] if place == self.last + 1 else ROLES[4])
        return names


@dataclass(frozen=True)
class Traced:
    """Probabilities of the answer: in the clean run, in the corrupted runs (their mean), and with each token restored
    at each layer (means over samples)."""

    clean: float
    corrupted: float
    restored: Float[Tensor, "l t"]

    @property
    def effect(self) -> Float[Tensor, "l t"]:
        """Indirect effects: what restoring gives back."""
        return self.restored - self.corrupted


def embedding_std(lm: LanguageModel, prompts: Sequence[Prompt]) -> float:
    """The standard deviation of all numbers in the embeddings of all subjects' tokens."""
    ids = [token for prompt in prompts for token in prompt.ids[prompt.first : prompt.last + 1]]
    return float(_embeddings(lm)(torch.tensor(ids, device=lm.device)).double().std())


def noise(lm: LanguageModel, prompt: Prompt, samples: int, size: float, seed: int) -> Float[Tensor, "s subject d"]:
    """Gaussian noise of standard deviation `size` for the subject's tokens: the same for a seed, on any device."""
    generator = torch.Generator().manual_seed(seed)
    width = _embeddings(lm)(torch.tensor([[prompt.ids[0]]], device=lm.device)).shape[-1]
    shape = samples, prompt.last + 1 - prompt.first, width
    return (size * torch.randn(shape, generator=generator, dtype=torch.float64)).to(lm.device, lm.dtype)


@torch.no_grad()
def traced(
    lm: LanguageModel,
    prompt: Prompt,
    added: Float[Tensor, "s subject d"],
    part: str = STATES,
    window: int = 1,
    beat: Callable[[], None] | None = None,
) -> Traced:
    """Trace a prompt with its present weights. `part` is restored after each layer (`STATES`), or in a `window` of
    layers around it (`MLP`, `ATTENTION`). `beat` is called before each layer's runs."""
    samples, count = len(added), lm.n_layers
    with _recorded(lm, part, 1) as clean:
        first = _probabilities(lm, prompt, 1)
    with _noised(lm, prompt, added), _recorded(lm, STATES, samples) as corrupted:
        second = _probabilities(lm, prompt, samples)
    places = torch.arange(prompt.first, len(prompt.ids), device=lm.device)
    rows = [(sample, int(place)) for place in places for sample in range(samples)]
    restored = []
    for layer in range(count):
        if beat is not None:
            beat()
        layers = [layer] if part == STATES else window_of(layer, window, count)
        values = [_run(lm, prompt, added, some, part, layers, clean, corrupted) for some in _parts(lm, prompt, rows)]
        restored.append(torch.cat(values).view(len(places), samples).mean(1))
    return Traced(float(first[0]), float(second.mean()), torch.stack(restored).cpu())


def window_of(layer: int, width: int, count: int) -> list[int]:
    """`width` layers around one, fewer at the ends of the model (as in the authors' code)."""
    return list(range(max(0, layer - width // 2), min(count, layer - (-width // 2))))


def _run(
    lm: LanguageModel,
    prompt: Prompt,
    added: Tensor,
    rows: Sequence[tuple[int, int]],
    part: str,
    layers: Sequence[int],
    clean: Recording,
    corrupted: Recording,
) -> Float[Tensor, " n"]:
    """Probabilities of the answer in rows of (sample, restored token)."""
    samples = torch.tensor([sample for sample, _ in rows], device=lm.device)
    places = torch.tensor([place for _, place in rows], device=lm.device)
    every = torch.arange(len(rows), device=lm.device)
    below = layers[0] if part == STATES else layers[0] - 1
    with ExitStack() as stack:
        if below >= 0:
            states = corrupted.states[below][samples]
            if part == STATES:
                states[every, places] = clean.states[below][0, places]
            stack.enter_context(skipping_layers(lm, below, (states,) if corrupted.in_tuple else states))
        else:
            stack.enter_context(_noised(lm, prompt, added[samples]))
        if part != STATES:
            for layer in layers:
                stack.enter_context(_restored(_module(lm, layer, part), every, places, clean.states[layer][0, places]))
        return _probabilities(lm, prompt, len(rows))


def _parts(lm: LanguageModel, prompt: Prompt, rows: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    """Rows in groups that fit into a pass."""
    size = max(1, lm.token_budget // len(prompt.ids))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _probabilities(lm: LanguageModel, prompt: Prompt, rows: int) -> Float[Tensor, " n"]:
    """The answer's probability after the prompt, in so many rows."""
    ids = torch.tensor([prompt.ids] * rows, device=lm.device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    logits = logits_at(lm, inputs, range(rows), [len(prompt.ids) - 1] * rows)
    return logits.softmax(1)[:, prompt.answer]


@contextmanager
def _noised(lm: LanguageModel, prompt: Prompt, added: Float[Tensor, "rows subject d"]) -> Iterator[None]:
    """Noise on the embeddings of the subject's tokens, a sample for each row."""

    def add(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, prompt.first : prompt.last + 1] += added
        return output

    handle = _embeddings(lm).register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


@dataclass
class Recording:
    """Outputs [row, token, d] of each layer, or of its FFN or attention, in one pass; `in_tuple`: modules return
    tuples."""

    states: list[Tensor] = field(default_factory=list)
    in_tuple: bool = False


@contextmanager
def _recorded(lm: LanguageModel, part: str, rows: int) -> Iterator[Recording]:
    """The outputs of the pass in the block."""
    recording = Recording()

    def keep(_: nn.Module, __: tuple, output: Tensor | tuple) -> None:
        recording.in_tuple = isinstance(output, tuple)
        states = output[0] if isinstance(output, tuple) else output
        recording.states.append(states.reshape(rows, -1, states.shape[-1]))  # some FFNs flatten rows and tokens

    handles = [_module(lm, layer, part).register_forward_hook(keep) for layer in range(lm.n_layers)]
    try:
        yield recording
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _restored(module: nn.Module, rows: Tensor, places: Tensor, values: Float[Tensor, "rows d"]) -> Iterator[None]:
    """A module's outputs at one token of each row are these."""

    def put(_: nn.Module, __: tuple, output: Tensor | tuple) -> Tensor | tuple:
        whole = output[0] if isinstance(output, tuple) else output
        new = whole.clone().reshape(len(rows), -1, whole.shape[-1])  # some FFNs flatten rows and tokens
        new[rows, places] = values
        new = new.reshape(whole.shape)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    handle = module.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()


def _module(lm: LanguageModel, layer: int, part: str) -> nn.Module:
    """The module whose output is restored. A norm behind the FFN or the attention acts on each token by itself, so
    restoring what it reads restores what it gives."""
    if part == STATES:
        return lm.layers[layer]
    return lm.down(layer) if part == MLP else attention(lm, layer)


def attention(lm: LanguageModel, layer: int) -> nn.Module:
    """The attention of a layer, by its name. Raises `UserError` if there is none, or more than one."""
    found = [
        module
        for name, module in lm.layers[layer].named_children()
        if ("attn" in name or "attention" in name) and "norm" not in name and "drop" not in name
    ]
    if len(found) != 1:
        kind = type(lm.layers[layer]).__name__
        raise UserError(f"{len(found)} parts of {kind} are called attention; restore states or FFN outputs instead")
    return found[0]


def _embeddings(lm: LanguageModel) -> nn.Module:
    return lm.model.get_input_embeddings()
