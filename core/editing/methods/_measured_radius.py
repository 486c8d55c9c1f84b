"""The hyperparameters of methods whose radius ε is measured where none is given."""

from __future__ import annotations

from typing import Any

from core.editing.lane.method import Method
from core.editing.settings.parameters import param


def contexts_option() -> Any:
    """The hyperparameter `contexts`."""
    return param(5, ge=0, le=50, help="Sampled texts before a prompt, by which a radius is measured.")


def length_option() -> Any:
    """The hyperparameter `context_length`."""
    return param(10, ge=2, le=100, help="Their length in tokens.")


class MeasuredRadius(Method):
    """A method with the fields `eps`, `contexts` and `context_length`."""

    eps: float | None
    contexts: int
    context_length: int

    def samples(self) -> tuple[tuple[int, int], ...]:
        """The texts by which the radius is measured, where it is not given."""
        return ((self.contexts, self.context_length),) if self.eps is None else ()

    def idle(self) -> dict[str, str]:
        """Texts that are not sampled."""
        if self.eps is None:
            return {}
        return dict.fromkeys(("contexts", "context_length"), "the radius is given, not measured")
