"""One round of plain MEMIT edits on the unedited model: scores, and the change of each edited layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from core.editing.lane.method import Recipe
from core.editing.lane.results import RoundUpdate
from core.editing.lane.state import LaneState
from core.editing.linalg.dominance import TAU
from core.editing.linalg.triangle import kept_type
from core.editing.rounds.edit_round import edit_round
from core.editing.stopwatch import SETUP, charged
from core.facts.fact import Fact
from core.measures.inside.key_geometry import mean_cosine, moment_rank
from core.measures.inside.similarity import compare
from core.measures.inside.spectrum import Reference
from core.measures.outside.scores import Answers, score_facts, summarise
from core.measures.studies.card.asked import MEAN, Asker
from core.measures.study.case import Case

SCORES = ("efficacy", "efficacy_exact", "paraphrase", "paraphrase_exact", "neighborhood", "neighborhood_exact")


@dataclass(frozen=True)
class EditedRound:
    """A round's update and the weights after it."""

    facts: Sequence[Fact]
    update: RoundUpdate
    weights: Mapping[int, Tensor]


def edited(case: Case, recipe: Recipe, facts: Sequence[Fact]) -> EditedRound:
    """One round of these facts. Raises `EditFailure` where it cannot be computed."""
    state = LaneState.base(case.lm, recipe.layers)
    update = edit_round(case.lm, state, facts, recipe, case.session, case.beat)
    state.apply(update)
    return EditedRound(facts, update, dict(state.weights))


def score_row(case: Case, ask: Asker, known: Sequence[Fact], after: EditedRound) -> dict[str, Any]:
    """Scores of the edited facts, what is left of `known` facts about other subjects and of the tasks, and seconds:
    `seconds_per_edit` without what is computed once per model (`setup_seconds`)."""
    subjects = {fact.subject for fact in after.facts}
    others = [fact for fact in known if fact.subject not in subjects]
    with case.lm.worn(after.weights):
        scores = summarise(score_facts(Answers(case.lm, case.beat), after.facts, 2, 2))
        kept = ask.recall(others) if others else None
    left = ask(after.weights)
    return {
        "edits": len(after.facts),
        **{name: scores[name] for name in SCORES},
        "known_facts_kept": kept,
        "known_facts_asked": len(others),
        "tasks": left.get(MEAN),
        "tasks_relative": left[MEAN] / ask.intact[MEAN] if left.get(MEAN) is not None else None,
        "seconds_per_edit": charged(after.update.seconds | {"total": sum(after.update.seconds.values())})
        / len(after.facts),
        "setup_seconds": after.update.seconds.get(SETUP, 0.0),
    }


def layer_rows(case: Case, references: Mapping[int, Reference], after: EditedRound | None) -> list[dict[str, Any]]:
    """A row per edited layer: its change and LS after the round (at τ = `TAU`), the mean cosine between keys of
    different subjects, and rank and condition of its second moment, with the tokens that this was gathered from."""
    rows = []
    for layer, reference in references.items():
        case.beat()
        row: dict[str, Any] = {"layer": layer, "change": None, "ls": None, "key_cosine": None}
        if after is not None:
            similarity = compare(reference, after.weights[layer], TAU).row
            subjects = [fact.subject for fact in after.facts]
            cosine = mean_cosine(after.update.keys[layer], subjects)
            row |= {"change": similarity["change"], "ls": similarity["ls"], "key_cosine": cosine}
        moment = case.session.moment(layer)
        rank, condition = moment_rank(moment, kept_type(len(moment)))
        tokens = case.session.moments[layer].tokens
        rows.append(row | {"moment_rank": rank, "width": len(moment), "moment_condition": condition, "tokens": tokens})
    return rows
