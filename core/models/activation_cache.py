"""Activation cache: layers are edited from the lowest to the highest, and finished layers are not run again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from core.models.hooks import Site, captured, skipping_layers
from core.models.language_model import LanguageModel
from core.models.passes import passes


class ActivationCache:
    """Rows of ids, with the residual stream of all their tokens after the highest finished layer.

    Shared prefixes are run once. `budget` is the number of padded tokens of a pass; `beat` is called before each pass.
    """

    def __init__(
        self,
        lm: LanguageModel,
        rows: Sequence[tuple[int, ...]],
        budget: int | None = None,
        beat: Callable[[], None] | None = None,
    ):
        self.lm, self.beat = lm, beat
        self.count = len(rows)
        self.passes = list(passes(lm, rows, budget or lm.token_budget))
        self.done = -1
        self.states: list[Tensor | tuple] = []

    @torch.no_grad()
    def at(self, sites: Sequence[Site], done: int = -1) -> dict[Site, Float[Tensor, "n d"]]:
        """Activations at these sites, at the last token of each row, with the weights that the model has now.

        Layers up to `done`, below all sites, will not change any more: their output is stored for the next call.
        """
        further = done > self.done
        outputs: list[Tensor | tuple] = []
        states: dict[Site, Tensor] = {}
        for number, part in enumerate(self.passes):
            if self.beat is not None:
                self.beat()
            skipped = skipping_layers(self.lm, self.done, self.states[number]) if self.states else nullcontext()
            hook = (
                self.lm.layers[done].register_forward_hook(lambda _, __, out: outputs.append(out)) if further else None
            )
            try:
                with captured(self.lm, sites, len(part.inputs["input_ids"])) as seen, skipped:
                    self.lm.model(**part.inputs, use_cache=False)
            finally:
                if hook is not None:
                    hook.remove()
            places = [(index, r, columns[-1]) for index, (r, columns) in part.places.items()]
            index, at_row, at_column = torch.tensor(places, device=self.lm.device).T
            for where, values in seen.items():
                if where not in states:
                    shape = (self.count, values.shape[-1])
                    states[where] = torch.empty(shape, dtype=self.lm.master_dtype, device=self.lm.device)
                states[where][index] = values[at_row, at_column].to(self.lm.master_dtype)
        if further:
            self.done, self.states = done, outputs
        return states
