"""What a model wears: edited matrices, and extras: hooks on its modules, and text before its prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils.hooks import RemovableHandle


class Extra:
    """What a lane changes besides matrices. By default nothing; a kind of extra overrides one of the two methods.

    `lm` is the `LanguageModel` that wears it. An extra has no state that a pass of the model changes: whatever is asked
    in whatever order, the answers are the same. `layers` are those in which it has hooks.
    """

    layers: tuple[int, ...] = ()

    def asked(self, lm: Any, prompts: Sequence[str]) -> list[str]:
        """The prompts as the model is to be asked them, before they are tokenised."""
        return list(prompts)

    def hooks(self, lm: Any) -> list[RemovableHandle]:
        """Hooks put on the model's modules. They may act where prompts end and on what follows (`lm.asking`), and are
        removed by the caller. They should be put before others (`prepend=True`), so that captured states are those of
        the worn model."""
        return []


class Worn(dict[int, Tensor]):
    """Down-projections by layer, [d_out, d_in] each, and `extras`. True if it holds any of the two."""

    def __init__(self, weights: Mapping[int, Tensor] | None = None, extras: Iterable[Extra] = ()):
        super().__init__(weights or {})
        self.extras = tuple(extras)

    def __bool__(self) -> bool:
        return len(self) > 0 or bool(self.extras)


def extras_of(weights: Mapping[int, Tensor]) -> tuple[Extra, ...]:
    """The extras of what is worn: none for a plain mapping."""
    return weights.extras if isinstance(weights, Worn) else ()
