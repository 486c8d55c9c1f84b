"""X+SCR: an editing method, and retrieval of the same facts on the edited model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from core.editing.lane.method import PROMPT, Method, Round, Wrapper
from core.editing.settings.retrieval import Retrieving

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate


@dataclass(frozen=True, kw_only=True)
class ScrAround(Retrieving, Wrapper):
    """The method edits as it does by itself; besides, each fact is remembered as a sentence, as in SCR.

    Questions are answered by the edited model with the retrieved sentences before them. Retrieval itself uses the
    unedited model, so that edits do not change what is found. The combination measures whether an edited model still
    reads its context: compare it with SCR, with the method, and with none.
    """

    title: ClassVar[str] = "SCR"
    paper: ClassVar[str] = "Selective contextual reasoning (He et al. 2025)"

    @classmethod
    def refusal(cls, method: type[Method]) -> str:
        """Lanes that put text before the prompt already."""
        return "it puts sentences before the prompt itself" if method.changes == PROMPT else ""

    def edit(self, round_: Round) -> RoundUpdate:
        """The method's round, and the sentences."""
        from core.editing.rounds.sentences import memory_of

        update = round_.recipe.method.edit(replace(round_, recipe=replace(round_.recipe, wrapper=None)))
        with round_.session.watch.phase("values"):
            return replace(update, memory={**update.memory, **memory_of(round_, self)})


WRAPPER = ScrAround
