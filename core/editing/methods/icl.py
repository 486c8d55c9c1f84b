"""The edited fact in the prompt, as an upper reference: what a model does that is told which fact applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core.editing.lane.method import PROMPT, Method, Round
from core.editing.settings.parameters import param
from core.facts.fact import Fact

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate


@dataclass(frozen=True, kw_only=True)
class Icl(Method):
    """The true sentence of the edited fact before each question about it (IKE, Zheng et al. 2023, without
    demonstrations).

    No weight changes and nothing is searched for: the lane knows which fact belongs to which question, as no editor
    can. Nothing ranks above it for a fair reason, and it is not to be ranked among editors. The sentence is the prompt
    with the new object. As in EasyEdit's code the fact's own prompt thus is preceded by its answer, word for word.
    """

    title: ClassVar[str] = "In context"
    paper: ClassVar[str] = "IKE (Zheng et al. 2023); oracle"
    changes: ClassVar[str] = PROMPT
    layers: ClassVar[tuple[int, ...]] = ()  # type: ignore[misc]  # none, and nothing to choose

    scope: str = param(
        "in_scope",
        choices=("in_scope", "all"),
        offers=(("in_scope", "the fact's prompt, paraphrases, portability"), ("all", "neighbors and locality too")),
        help="Before which questions of a fact its sentence stands. With all, over-application shows.",
    )

    def edit(self, round_: Round) -> RoundUpdate:
        """The round's sentences, each with the prompts that it stands before."""
        from core.editing.extras.icl import FACTS
        from core.editing.rounds.remembered import listed, remembered, sentence
        from core.editing.rounds.sentences import read
        from core.editing.stopwatch import SETUP

        with round_.session.watch.phase(SETUP):
            notes = read(round_, [sentence(fact) for fact in round_.facts])
        with round_.session.watch.phase("values"):
            new = [{"sentence": sentence(fact), "prompts": self.prompts(fact)} for fact in round_.facts]
            return remembered(listed(round_.state.memory, FACTS, new), facts=len(new), notes=notes)

    def prompts(self, fact: Fact) -> list[str]:
        """The questions of a fact that its sentence stands before."""
        prompts = [fact.text, *fact.paraphrases, *(question.prompt for question in fact.portability)]
        if self.scope == "all":
            prompts += [neighbor.prompt for neighbor in fact.neighborhood]
            prompts += [question.prompt for question in fact.locality]
        return prompts


METHOD = Icl
