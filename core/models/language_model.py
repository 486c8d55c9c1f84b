"""A language model, and the edited matrices that it wears for a moment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.errors import UserError, shown
from core.models.anatomy import Anatomy, embedded, layers_of, linear_shape
from core.models.chat import Frame
from core.models.tokens import encode_all, slot_last

WHOLE_BYTES = 100_000_000  # models up to this size are fingerprinted byte by byte, larger ones by samples
CACHED_TEXTS = 200_000


class LanguageModel:
    """A causal language model with its tokenizer. Weights are the original ones except inside `worn`.

    `reference` is what it was loaded from, `notes` what should be said of that; `fingerprint` a SHA-256 of its
    configuration and weights. `frame` is what stands around every prompt that it is asked (a chat template's turns, or
    nothing); texts that are no prompts are encoded as they are.
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
        # Rows x length of one forward pass. A CPU is busy with few tokens, and few are padded less; a GPU wants many.
        self.token_budget = 1024 if self.device.type == "cpu" else 16384
        self.fingerprint = fingerprint(model)
        self._embedded = embedded(model)  # ids that it knows
        self.takes_trees: bool | None = None  # `core.models.prefix_tree` finds out once
        self._originals: dict[int, Tensor] = {}
        self._wearing: Mapping[int, Tensor] = {}
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
        """Wait until everything that was begun on the device is done: on a GPU calls return before that."""
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
        """The part of a layer whose output the FFN adds to the residual stream: a norm behind the down-projection where
        the anatomy has one, else the down-projection itself."""
        return self.layers[layer].get_submodule(self.anatomy.after or self.anatomy.down)

    @torch.no_grad()
    def before_norm(
        self, layer: int, change: Float[Tensor, "d b"], output: Float[Tensor, "d b"]
    ) -> Float[Tensor, "d b"]:
        """What to add to the down-projection's `output` y so that `ffn_end` gives `change` more.

        The change itself, except where an RMS norm g y / rms(y) stands between the two. That norm asks for y's
        direction only, so y keeps its length and is turned to (norm(y) + change) / g: what the norm gives then has the
        wanted direction (g undone), but the length that the norm gives to all.
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
        """Let the model wear these down-projections; afterwards it wears exactly what it wore before.

        `weights` is the complete set: layers that it does not name are the original ones, also inside another
        `worn`. The matrices are copied, cast to the model's type; do not change them in place meanwhile.
        """
        for layer, weight in weights.items():
            if weight.shape != self.original(layer).shape:
                raise ValueError(f"layer {layer} wears {tuple(self.original(layer).shape)}, not {tuple(weight.shape)}")
        before = self._wearing
        self._wear(weights)
        try:
            yield
        finally:
            self._wear(before)

    def asked(self, prompt: str) -> str:
        """A prompt as the text that the model reads when it is asked; what it then says begins the answer."""
        return self.frame.before + prompt + self.frame.after

    def slot_last(self, template: str, subject: str, before: str = "") -> tuple[str, int]:
        """(text, index of the subject's last token in it) of a prompt `before` + `template` when it is asked; see
        `core.models.tokens.slot_last`."""
        return slot_last(self.tokenizer, template, subject, self.frame.before + before, self.frame.after)

    def text(self, ids: Sequence[int], **options: bool) -> str:
        """The text of token ids; `options` are those of the tokenizer's `decode`."""
        return cast(str, self.tokenizer.decode(list(ids), **options))

    def encode(self, text: str) -> list[int]:
        """Token ids of a text as the model reads it: BOS once if the tokenizer has one, no EOS."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of many texts; texts seen before are remembered. The lists are shared: do not change them."""
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

    def _wear(self, weights: Mapping[int, Tensor]) -> None:
        for layer in self._wearing.keys() - weights.keys():
            self._put(layer, self._originals[layer])
        for layer, weight in weights.items():
            self._put(layer, weight)
        self._wearing = dict(weights)

    @torch.no_grad()
    def _put(self, layer: int, weight: Tensor) -> None:
        self._oriented(layer).copy_(weight)

    def _oriented(self, layer: int) -> Tensor:
        """A view of the stored weight as [d_out, d_in]."""
        weight = self.stored(layer)
        return weight.T if self.anatomy.conv1d else weight


def fingerprint(model: PreTrainedModel) -> str:
    """SHA-256 of a model's configuration and weights.

    All bytes of models up to 100 MB; of larger ones the shapes and 4096 evenly spaced numbers of each tensor, which
    tells checkpoints apart in the time of a blink.
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
