"""When the numbers break."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import UserError
from core.facts.fact import Fact


class EditFailure(UserError):
    """An edit that could not be computed: names the fact, the layer and what to change.

    What knows no facts tells the number of the one to blame in its round, `fact`, for whoever knows them to name it.
    """

    def __init__(self, message: str, fact: int | None = None):
        super().__init__(message)
        self.fact = fact

    def naming(self, facts: Sequence[Fact]) -> EditFailure:
        """The failure, with the name of the fact to blame where there is one."""
        if self.fact is None:
            return self
        blamed = facts[self.fact]
        return EditFailure(f'The edit of "{blamed.text} {blamed.target}" cannot be computed. {self}')
