"""Edits beside the model: a classifier says which of them a prompt is about, and a second model answers with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from core.editing.extras.blocks import blocks, items, unpacked
from core.editing.extras.grace import distances
from core.editing.extras.melo import change
from core.editing.extras.retrievers import mean_states
from core.editing.extras.routing import NONE, flat, moved, routed
from core.models.worn import Extra

FACTS, KEYS = "serac.facts", "serac.keys"  # blocks of items {"prompt", "sentence"}, and of their vectors [b, e]
MAP, CENTER = "serac.map", "serac.center"  # [e, d]; [d], subtracted from states before it
A, B = "serac.a", "serac.b"  # by layer: "serac.a.5"; [1, r, d_in] and [1, d_out, r]
SETTINGS = "serac.settings"  # {"threshold", "layers"}
NAME = "serac"  # of the decision


class Counterfactual(Extra):
    """A prompt in the scope of an edit is read after that edit's sentence, by the model with an adapter B A.

    e(x) = M (h(x) − c) with h the mean state of the unedited model; p = exp(− ‖e(x) − e(z)‖²) with z the prompt of an
    edit. The edit of largest p is used if p exceeds the threshold, whatever their order; else the model is the base
    model. The adapter acts from the end of the prompt on, so that the sentence itself is read by the base model.
    """

    def __init__(
        self,
        facts: Sequence[Mapping[str, str]],
        keys: Float[Tensor, "n e"],
        encoder: tuple[Float[Tensor, "e d"], Float[Tensor, " d"]],
        adapter: Mapping[int, tuple[Float[Tensor, "1 r d_in"], Float[Tensor, "1 d_out r"]]],
        threshold: float,
    ):
        self.facts, self.keys, self.encoder, self.threshold = list(facts), keys, encoder, threshold
        self.adapter = dict(adapter) if self.facts else {}
        self.layers = tuple(self.adapter)
        self._before: dict[str, str] = {}  # the sentence before each prompt, "" for none
        self._read: set[tuple[int, ...]] = set()  # prompts with a sentence, as ids

    @classmethod
    def of(cls, memory: Mapping[str, Tensor]) -> Counterfactual:
        """The edits of a lane's memory, with the classifier and the adapter; of two with one prompt, the later one."""
        settings, facts = unpacked(memory[SETTINGS]), items(memory, FACTS)
        last = {fact["prompt"]: place for place, fact in enumerate(facts)}
        kept = sorted(last.values())
        keys = torch.cat([part.cpu() for part in blocks(memory, KEYS).values()])[kept] if kept else torch.zeros(0, 1)
        adapter = {layer: (memory[f"{A}.{layer}"], memory[f"{B}.{layer}"]) for layer in settings["layers"]}
        encoder = memory[MAP].cpu(), memory[CENTER].cpu()
        return cls([facts[place] for place in kept], keys, encoder, adapter, settings["threshold"])

    def asked(self, lm: Any, prompts: Sequence[str]) -> list[str]:
        """Each prompt after the sentence of the edit that it is about, if there is one."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._before]
        if new and self.facts:
            for prompt, sentence in zip(new, self.scoped(lm, new), strict=True):
                self._before[prompt] = sentence and f"{sentence} "
                if sentence:
                    self._read.add(tuple(lm.encode(lm.frame.before + f"{sentence} {prompt}" + lm.frame.after)))
        return [self._before.get(prompt, "") + prompt for prompt in prompts]

    def scoped(self, lm: Any, prompts: Sequence[str]) -> list[str]:
        """The sentence of the edit that each prompt is about; "" for none."""
        gap, nearest = distances(embedded(lm, prompts, *self.encoder), self.keys).min(1)
        least = math.log(self.threshold) if self.threshold > 0 else -math.inf
        fires = -gap.square() > least
        return [
            self.facts[place]["sentence"] if fire else ""
            for place, fire in zip(nearest.tolist(), fires.tolist(), strict=True)
        ]

    def hooks(self, lm: Any) -> list[RemovableHandle]:
        """One hook a layer of the adapter."""

        def adapt(a: Tensor, b: Tensor) -> Callable[..., Tensor | None]:
            def hook(_: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
                if lm.asking is not None and NAME not in lm.asking.decided:
                    branch = [0 if head in self._read else NONE for head in lm.asking.heads]
                    lm.asking.decided[NAME] = torch.tensor(branch, dtype=torch.long, device=output.device)
                at, branch_of = routed(lm, NAME, None)
                return moved(output, at, change(flat(args[0])[at], a[branch_of], b[branch_of])) if len(at) else None

            return hook

        pairs = {layer: (a.to(lm.device), b.to(lm.device)) for layer, (a, b) in self.adapter.items()}
        return [lm.down(layer).register_forward_hook(adapt(*pair), prepend=True) for layer, pair in pairs.items()]


def embedded(
    lm: Any, texts: Sequence[str], encode: Float[Tensor, "e d"], center: Float[Tensor, " d"]
) -> Float[Tensor, "n e"]:
    """e(x) of each text, on the unedited model."""
    return (mean_states(lm, texts).to(center) - center) @ encode.T


EXTRA = Counterfactual
