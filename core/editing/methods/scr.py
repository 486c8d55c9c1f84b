"""SCR: facts are remembered as sentences, and those that fit a question are put before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core.editing.lane.method import PROMPT, Method, Round
from core.editing.settings.retrieval import Retrieving

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate


@dataclass(frozen=True, kw_only=True)
class Scr(Retrieving, Method):
    """Retrieve, choose, answer (selective contextual reasoning). No weight changes, nothing is trained.

    The memory holds each fact as a sentence, prompt and new object. For a question the `k` most similar sentences are
    found. They precede the question if the best one is similar enough; else the model is asked the bare question. The
    authors let a large model judge whether a sentence is relevant; small models cannot. Here a threshold decides: by
    default the similarity that 5 % of the remembered prompts reach with a sentence about another subject, so that about
    one unrelated question in twenty is answered with a wrong sentence before it. The decision is made once, from the
    question alone, for scores and for free text. A prompt that is edited again replaces its sentence.
    """

    title: ClassVar[str] = "SCR"
    paper: ClassVar[str] = "Selective contextual reasoning (He et al. 2025)"
    changes: ClassVar[str] = PROMPT
    layers: ClassVar[tuple[int, ...]] = ()  # type: ignore[misc]  # none, and nothing to choose

    def edit(self, round_: Round) -> RoundUpdate:
        """The round's sentences, added to the memory."""
        from core.editing.rounds.remembered import remembered, text_of
        from core.editing.rounds.sentences import memory_of, read
        from core.editing.stopwatch import SETUP

        with round_.session.watch.phase(SETUP):
            notes = read(round_, [text_of(fact, self.texts) for fact in round_.facts])
        with round_.session.watch.phase("values"):
            return remembered(memory_of(round_, self), facts=len(round_.facts), notes=notes)


METHOD = Scr
