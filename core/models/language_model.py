"""A language model, and a context in which it has edited matrices."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.errors import UserError, shown
from core.models.anatomy import Anatomy, embedded, layers_of, linear_shape
from core.models.asking import Asking, asking
from core.models.chat import Frame
from core.models.tokens import encode_all, slot_last, slot_span
from core.models.worn import Worn, extras_of

WHOLE_BYTES = 100_000_000  # models up to this size are fingerprinted byte by byte, larger ones by samples
CACHED_TEXTS = 200_000


class LanguageModel:
    """A causal language model with its tokenizer. Weights are the original ones except inside `worn`.

    `reference` is where it was loaded from; `notes` are remarks about that; `fingerprint` is a SHA-256 of its
    configuration and weights. `frame` is the text around every prompt (a chat template's turns, or nothing); texts that
    are not prompts are encoded as they are.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        anatomy: Anatomy,
        reference: str,
        frame: Frame | None = None,
        notes: Sequence[str] = (),
    ):
        self.model = model
        self.tokenizer = tokenizer
        self.anatomy = anatomy
        self.reference = reference
        self.notes = tuple(notes)
        self.frame = frame or Frame()
        self.layers = layers_of(model, anatomy.layers)
        self.config: Any = model.config.get_text_config()
        self.device: torch.device = next(model.parameters()).device
        self.dtype = self.stored(0).dtype
        self.n_layers = len(self.layers)
        self.d_model, self.d_ffn = linear_shape(self.down(0)) or (0, 0)
        self.n_parameters = sum(p.numel() for p in model.parameters())
        # Rows x length of one forward pass. Few tokens keep a CPU busy and need less padding; a GPU needs many.
        self.token_budget = 1024 if self.device.type == "cpu" else 16384
        self.gradient_budget = 512 if self.device.type == "cpu" else 2048  # tokens of a pass that keeps its states
        self.fingerprint = fingerprint(model)
        self._embedded = embedded(model)  # the number of its ids
        self.takes_trees: bool | None = None  # determined once by `core.models.prefix_tree`
        self._originals: dict[int, Tensor] = {}
        self.asking: Asking | None = None  # see `ending`
        self._wearing = Worn()
        self._hooks: list[RemovableHandle] = []
        self._encoded: dict[str, list[int]] = {}

    @property
    def model_type(self) -> str:
        return self.model.config.model_type

    @property
    def master_dtype(self) -> torch.dtype:
        """The type of edited matrices: float32 (float64 for a float64 model), whatever the model computes in."""
        return torch.promote_types(self.dtype, torch.float32)

    @property
    def max_length(self) -> int:
        """The longest text in tokens, capped: long-context models report lengths that no memory holds."""
        return min(getattr(self.config, "max_position_embeddings", None) or 4096, 4096)

    def settle(self) -> None:
        """Wait for all work on the device to finish: calls on a GPU are asynchronous."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    @property
    def head(self) -> nn.Module:
        """The map from the last residual stream to logits."""
        head = self.model.get_output_embeddings()
        if head is None:
            raise AttributeError(f"{type(self.model).__name__} has no language-modelling head")
        return head

    def down(self, layer: int) -> nn.Module:
        """The FFN down-projection of a layer."""
        return self.layers[layer].get_submodule(self.anatomy.down)

    def stored(self, layer: int) -> Tensor:
        """The weight of a down-projection as the model stores it, [d_out, d_in] or its transpose; without gradient."""
        return cast(Tensor, self.down(layer).weight).detach()

    def bias(self, layer: int) -> Float[Tensor, " d_out"] | None:
        """The bias of a down-projection, if it has one."""
        return cast(Tensor | None, self.down(layer).bias)

    def ffn_end(self, layer: int) -> nn.Module:
        """The module whose output the FFN adds to the residual stream: a norm after the down-projection if the
        anatomy has one, else the down-projection itself."""
        return self.layers[layer].get_submodule(self.anatomy.after or self.anatomy.down)

    @torch.no_grad()
    def before_norm(
        self, layer: int, change: Float[Tensor, "d b"], output: Float[Tensor, "d b"]
    ) -> Float[Tensor, "d b"]:
        """What to add to the down-projection's `output` y so that the output of `ffn_end` changes by `change`.

        This is the change itself, unless an RMS norm g y / rms(y) follows. Such a norm depends on y's direction only,
        so y keeps its length and is rotated to (norm(y) + change) / g. The norm's output then has the right direction
        (g is divided out), but its length is the one that the norm gives to all its outputs.
        """
        if not self.anatomy.after:
            return change
        norm = self.ffn_end(layer)
        gain = norm(torch.ones_like(output[:, :1]).T).T
        wanted = (norm(output.T.contiguous()).T + change) / gain
        return wanted * (output.norm(dim=0) / wanted.norm(dim=0)) - output

    def original(self, layer: int) -> Float[Tensor, "d_out d_in"]:
        """W0 of a layer's down-projection, always [d_out, d_in]; a float32 copy made once. Not to be changed."""
        if layer not in self._originals:
            if layer in self._wearing:
                raise RuntimeError(f"layer {layer} is worn before its original was copied")
            self._originals[layer] = self._oriented(layer).to(self.master_dtype, copy=True).contiguous()
        return self._originals[layer]

    @contextmanager
    def worn(self, weights: Mapping[int, Float[Tensor, "d_out d_in"]]) -> Iterator[None]:
        """Use these down-projections, and a `Worn`'s extras, inside the block; afterwards exactly the previous ones.

        `weights` is the complete set: layers that are not in it have the original matrix, also inside another `worn`,
        and extras of that one are off. The matrices are copied and cast to the model's type; do not change them in
        place inside the block.
        """
        for layer, weight in weights.items():
            if weight.shape != self.original(layer).shape:
                raise ValueError(f"layer {layer} wears {tuple(self.original(layer).shape)}, not {tuple(weight.shape)}")
        before = self._wearing
        try:
            self._wear(Worn(weights, extras_of(weights)))
            yield
        finally:
            self._wear(before)

    @property
    def hooked(self) -> frozenset[int]:
        """The layers in which extras have hooks now. Rows then may not share a token at which only one prompt ends."""
        return frozenset(layer for extra in self._wearing.extras for layer in extra.layers)

    @contextmanager
    def ending(
        self,
        rows: Sequence[int],
        columns: Sequence[int],
        width: int,
        following: Sequence[tuple[int, int, int]] = (),
        decided: dict[str, Tensor] | None = None,
        heads: Sequence[Sequence[int]] = (),
    ) -> Iterator[None]:
        """Prompts end at these tokens of the pass in the block, whose rows are padded to `width`; hooks of extras act
        there, and on the tokens of what follows. Outside of a block every token is the end of a prompt: that of the
        text up to it.

        `following` are (row, column, number of the prompt) of the tokens after the ends; `heads` are the prompts' ids.
        A pass that goes on with prompts of an earlier one has no ends, but its dictionary `decided`.
        """
        before = self.asking
        self.asking = asking(rows, columns, width, following, decided, heads, self.device)
        try:
            yield
        finally:
            self.asking = before

    @property
    def ends(self) -> Tensor | None:
        """Where the prompts of this pass end, as row · width + column, [n]; None: at every token."""
        return None if self.asking is None else self.asking.ends

    def asked(self, prompt: str) -> str:
        """The text that the model reads when it is asked this prompt; its continuation begins the answer."""
        return self.asked_all([prompt])[0]

    def asked_all(self, prompts: Sequence[str]) -> list[str]:
        """`asked` of many prompts. What the model wears may put text before a prompt, inside the frame."""
        for extra in self._wearing.extras:
            prompts = extra.asked(self, prompts)
        return [self.frame.before + prompt + self.frame.after for prompt in prompts]

    def slot_last(self, template: str, subject: str, before: str = "") -> tuple[str, int]:
        """(text, index of the subject's last token in it) of a prompt `before` + `template` when it is asked; see
        `core.models.tokens.slot_last`."""
        return slot_last(self.tokenizer, template, subject, self.frame.before + before, self.frame.after)

    def slot_span(self, template: str, subject: str) -> tuple[str, tuple[int, int]]:
        """(text, indices of the subject's first and last token in it) of a prompt when it is asked."""
        return slot_span(self.tokenizer, template, subject, self.frame.before, self.frame.after)

    def text(self, ids: Sequence[int], **options: bool) -> str:
        """The text of token ids; `options` are those of the tokenizer's `decode`."""
        return cast(str, self.tokenizer.decode(list(ids), **options))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text as the model reads it: BOS once if the tokenizer has one, no EOS."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts; results are cached. The lists are shared: do not change them."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._encoded]
        if len(self._encoded) + len(missing) > CACHED_TEXTS:
            self._encoded.clear()
            missing = list(dict.fromkeys(texts))
        for text, ids in zip(missing, encode_all(self.tokenizer, missing), strict=True):
            if max(ids, default=0) >= self._embedded:
                token = self.tokenizer.convert_ids_to_tokens(max(ids))
                raise UserError(f"The text {shown(text)} holds {token}, which {self.reference} has no embedding for.")
            self._encoded[text] = ids
        return [self._encoded[text] for text in texts]

    def _wear(self, worn: Worn) -> None:
        for layer in self._wearing.keys() - worn.keys():
            self._put(layer, self._originals[layer])
        for layer, weight in worn.items():
            self._put(layer, weight)
        while self._hooks:
            self._hooks.pop().remove()
        self._wearing = worn
        for extra in worn.extras:
            self._hooks += extra.hooks(self)

    @torch.no_grad()
    def _put(self, layer: int, weight: Tensor) -> None:
        self._oriented(layer).copy_(weight)

    def _oriented(self, layer: int) -> Tensor:
        """A view of the stored weight as [d_out, d_in]."""
        weight = self.stored(layer)
        return weight.T if self.anatomy.conv1d else weight


def fingerprint(model: PreTrainedModel) -> str:
    """SHA-256 of a model's configuration and weights.

    It covers all bytes of models up to 100 MB; of larger ones the shapes and 4096 evenly spaced numbers of each tensor,
    which is fast and distinguishes checkpoints.
    """
    config = {k: v for k, v in model.config.to_dict().items() if not k.startswith("_") and k != "transformers_version"}
    digest = hashlib.sha256(repr(sorted(config.items(), key=lambda item: item[0])).encode())
    tensors = {name: p.detach() for name, p in model.named_parameters()}
    whole = sum(t.numel() * t.element_size() for t in tensors.values()) <= WHOLE_BYTES
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        numbers = tensor.reshape(-1)
        if not whole:
            numbers = numbers[:: max(1, numbers.numel() // 4096)]
        digest.update(numbers.contiguous().cpu().view(torch.uint8).numpy().data)
    return digest.hexdigest()
