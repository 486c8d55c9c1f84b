"""Numerical failures of edits, and advice on what to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.editing.settings.parameters import parameters
from core.errors import UserError
from core.facts.fact import Fact

LEVERS = {  # fields that keep an update small, with advice
    "ridge": "set a ridge, e.g. 0.01",
    "lambda": "use a larger lambda",
    "beta": "use a larger beta",
    "ratio": "use a larger ratio",
}


class EditFailure(UserError):
    """An edit that could not be computed: names the fact, the layer and what to change.

    Code without access to the facts gives the index of the fact in its round, `fact`; its caller adds the name. If the
    update itself is too large, the advice depends on the lane: `too_large` is set, and `naming` adds the advice.
    """

    def __init__(self, message: str, fact: int | None = None, too_large: bool = False):
        super().__init__(message)
        self.fact, self.too_large = fact, too_large

    def naming(self, facts: Sequence[Fact], method: Any = None) -> EditFailure:
        """The failure, with the name of the fact if there is one, and with advice on the settings of the lane's
        method."""
        message = str(self) + (f" {remedy(method)}" if self.too_large else "")
        if self.fact is None:
            return EditFailure(message)
        blamed = facts[self.fact]
        return EditFailure(f'The edit of "{blamed.text} {blamed.target}" cannot be computed. {message}')


def remedy(method: Any) -> str:
    """Advice for updates that are too large; it names only fields that the method has and that have an effect."""
    idle = method.idle() if method is not None else {}
    known = {entry.name for entry in parameters(type(method))} - idle.keys() if method is not None else set()
    ways = [way for name, way in LEVERS.items() if name in known]
    advice = ", or ".join([", ".join(ways), "load the model in float32"] if ways else ["load the model in float32"])
    return f"{advice[0].upper()}{advice[1:]}."
