"""When the numbers break."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.editing.settings.parameters import parameters
from core.errors import UserError
from core.facts.fact import Fact

LEVERS = {  # fields that keep an update small, and what to do with them
    "ridge": "set a ridge, e.g. 0.01",
    "lambda": "use a larger lambda",
    "beta": "use a larger beta",
    "ratio": "use a larger ratio",
}


class EditFailure(UserError):
    """An edit that could not be computed: names the fact, the layer and what to change.

    What knows no facts tells the number of the one to blame in its round, `fact`, for whoever knows them to name it.
    Where the update itself is too large, what to change depends on the lane: `too_large`, and `naming` says it.
    """

    def __init__(self, message: str, fact: int | None = None, too_large: bool = False):
        super().__init__(message)
        self.fact, self.too_large = fact, too_large

    def naming(self, facts: Sequence[Fact], method: Any = None) -> EditFailure:
        """The failure, with the name of the fact to blame where there is one, and what the lane's method has to set."""
        message = str(self) + (f" {remedy(method)}" if self.too_large else "")
        if self.fact is None:
            return EditFailure(message)
        blamed = facts[self.fact]
        return EditFailure(f'The edit of "{blamed.text} {blamed.target}" cannot be computed. {message}')


def remedy(method: Any) -> str:
    """What to do where updates are too large, with those fields only that the method has and that have an effect."""
    idle = method.idle() if method is not None else {}
    known = {entry.name for entry in parameters(type(method))} - idle.keys() if method is not None else set()
    ways = [way for name, way in LEVERS.items() if name in known]
    advice = ", or ".join([", ".join(ways), "load the model in float32"] if ways else ["load the model in float32"])
    return f"{advice[0].upper()}{advice[1:]}."
