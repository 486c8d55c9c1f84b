"""Early warning in retrospect: in which round would a lane have been flagged, and in which had it collapsed?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.linalg.dominance import Dominance
from core.editing.settings.parameters import param
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from torch import Tensor

    from core.measures.study.case import Case
    from core.measures.warning import Flag, Limits, Signs

COLUMNS = ("perplexity", "unedited_recall", "change", "ls", "key_overlap")


@dataclass(frozen=True, kw_only=True)
class EarlyWarning:
    """The cheap signs of each asked round, the first flag that they raise, and how long before the collapse it came."""

    title: ClassVar[str] = "Early warning"
    question: ClassVar[str] = "Would cheap signs have predicted the collapse of this lane, and how early?"
    source: ClassVar[str] = "This lab"

    tokens: int = param(512, ge=1, le=ceiling.READ_TOKENS, help="Tokens of held-out text for perplexity.")
    facts: int | None = param(100, ge=1, le=ceiling.FACTS, help="Number of unedited facts tested; none: all.")
    perplexity: float = param(
        1.5, gt=1, le=ceiling.RATIO, help="Flag at this multiple of the unedited model's perplexity."
    )
    unedited_recall: float = param(0.75, gt=0, lt=1, help="Flag at this share of the unedited model's recall.")
    change: float = param(2.0, gt=0, le=ceiling.RATIO, help="The ‖W_t − W₀‖ / ‖W₀‖ of a layer that counts as a sign.")
    pace: float = param(
        1.5, gt=1, le=ceiling.RATIO, help="The multiple of the slowest earlier pace of change that counts as a sign."
    )
    ls: float = param(0.1, ge=0, lt=1, help="LS that counts as a sign.")
    key_overlap: float = param(
        1.5, gt=1, le=ceiling.RATIO, help="The multiple of the first overlap of keys that counts as a sign."
    )
    chance: float | None = param(
        None, ge=0, lt=1, help="Mean chance level of the tasks; none: that of the embedded tasks."
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import decomposition, passes
        from core.measures.study.workload import question_work

        count = len({0, *rounds})
        facts = len(case.unedited) if self.facts is None else min(len(case.unedited), self.facts)
        inside = decomposition(case.lm.d_model, case.lm.d_ffn).times(len(case.layers) * (count + 1))
        return (question_work(case, facts * count) + passes(case.lm, self.tokens * count) + inside).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `signs` (a row per round and sign, with its limit) and `verdict` (flag, collapses, rounds between)."""
        from core.measures.warning import collapses, crossed, first_flag

        chosen = sorted({0, *rounds})
        limits, history = self._limits(), self._history(case, chosen)
        flag = first_flag(history, limits)
        tasks = {at: scores.get("task_mean") for at, scores in case.scores.items()}
        chance = _chance(case) if self.chance is None else self.chance
        fallen = collapses(history, tasks, chance)
        seen = [(history[n].round, crossed(history[: n + 1], limits)) for n in range(1, len(history))]
        past = {name: next((at for at, signs in seen if name in signs), None) for name in (*COLUMNS, "pace")}
        return StudyResult(
            tables={
                "signs": _rows(history, limits),
                "verdict": [
                    {
                        "collapse": name,
                        "collapsed": at,
                        "flagged": flag.round if flag else None,
                        "rounds_early": at - flag.round if flag and at is not None else None,
                        "why": "; ".join(flag.reasons) if flag else "",
                    }
                    for name, at in fallen.items()
                ],
                "crossings": [{"sign": name, "round": at} for name, at in past.items()],
            },
            charts=[
                Chart(
                    table="signs",
                    kind="line",
                    x="round",
                    y="of_limit",
                    by="sign",
                    title="Signs, as a share of their limits",
                    x_title="after round",
                    y_title="share of the way from the unedited model to the limit",
                    unit="share",
                    line=1.0,
                    line_label="limit",
                )
            ],
            protocol=(
                f"Signs after each chosen round: perplexity of {self.tokens} tokens of held-out text, exact recall of"
                f" {self.facts or 'all'} facts never edited, ‖W_t − W₀‖/‖W₀‖ of the layer that moved most and its pace,"
                " LS and the overlap of the round's keys with earlier ones (means over layers). Flag: perplexity or"
                " recall past its limit, or two of the others. Collapse of tasks: their mean, as the run measured it,"
                f" has lost half of its distance to chance ({chance:.3g}); of unedited facts: recall at most half of"
                " the unedited model's. Other rounds are not examined."
            ),
            notes=_notes(case, history, tasks, flag),
        )

    def _limits(self) -> Limits:
        from core.measures.warning import Limits

        names = ("perplexity", "unedited_recall", "change", "pace", "ls", "key_overlap")
        return Limits(**{name: getattr(self, name) for name in names})

    def _history(self, case: Case, rounds: Sequence[int]) -> list[Signs]:
        """The signs of each asked round, measured anew."""
        from core.measures.inside.similarity import compare
        from core.measures.inside.spectrum import Reference
        from core.measures.outside.perplexity import perplexity
        from core.measures.outside.scores import Answers, mean, recall, spread_sample
        from core.measures.study.loop import each_round
        from core.measures.warning import Signs

        chosen = [case.unedited[i] for i in spread_sample(range(len(case.unedited)), self.facts, case.seed)]
        references = {layer: Reference.of(layer, case.lm.original(layer)) for layer in case.layers}
        own = case.recipe.dominance or Dominance()
        history, overlaps = [], _overlaps(case, rounds)
        for at, beat in each_round(case, rounds):
            with case.lm.worn(case.weights(at)):
                scores = {
                    "perplexity": perplexity(case.lm, case.texts.prose, self.tokens, beat)
                    if case.texts.prose
                    else None,
                    "unedited_recall": mean(recall(Answers(case.lm, beat), chosen)),
                }
            layers = []
            for layer in case.layers:
                weight = case.matrix(at, layer)
                if bool(weight.isfinite().all()):
                    row = compare(references[layer], weight, own.tau, by=own.by).row
                    layers.append({**row, "key_overlap": overlaps.get((at, layer))})
                beat()
            history.append(Signs.of(at, scores, layers))
        return history


def _notes(case: Case, history: Sequence[Signs], tasks: Mapping[int, float | None], flag: Flag | None) -> list[str]:
    """What could not be determined, and what is broken."""
    from core.measures.outside.texts import NO_PROSE

    notes = [flag.message] if flag and flag.stop else []
    if tasks.get(0) is None or not any(value is not None for at, value in tasks.items() if at):
        notes.append("the run did not measure tasks before and after edits, so their collapse cannot be dated")
    if not case.texts.prose:
        notes.append(f"no perplexity: {NO_PROSE}")
    if history[0].unedited_recall is None:
        notes.append("there are no unedited facts to test")
    return notes


def _overlaps(case: Case, chosen: Sequence[int]) -> dict[tuple[int, int], float | None]:
    """By round and layer, the overlap of the round's keys with those of all rounds before it."""
    from core.lazy import torch
    from core.measures.inside.key_overlap import key_overlap

    past: dict[int, list[Tensor]] = {}
    overlaps = {}
    for t in case.ledger.rounds(case.lane):
        if t > max(chosen):
            break
        for layer, keys in case.update(t).keys.items():
            if t in chosen and layer in past:
                overlaps[t, layer] = key_overlap(keys, torch.cat(past[layer], 1))
            past.setdefault(layer, []).append(keys)
    return overlaps


def _rows(history: Sequence[Signs], limits: Limits) -> list[dict[str, Any]]:
    """A row per round and sign: value, limit, and `of_limit`, how far it is on the way there (1: at the limit)."""
    from core.measures.warning import pace

    base = history[0]
    overlap = next((signs.key_overlap for signs in history if signs.key_overlap), None)
    ends = {
        "perplexity": (base.perplexity, limits.perplexity * base.perplexity if base.perplexity else None),
        "unedited_recall": (
            base.unedited_recall,
            limits.unedited_recall * base.unedited_recall if base.unedited_recall else None,
        ),
        "change": (0.0, limits.change),
        "ls": (1.0, limits.ls),
        "key_overlap": (overlap, limits.key_overlap * overlap if overlap else None),
        "pace": (1.0, limits.pace),
    }
    rows = []
    for count, signs in enumerate(history, 1):
        values = {name: getattr(signs, name) for name in COLUMNS} | {"pace": pace(history[:count])}
        for name, value in values.items():
            start, end = ends[name]
            if value is not None and start is not None and end is not None:
                way = (value - start) / (end - start)
                rows.append({"round": signs.round, "sign": name, "value": value, "limit": end, "of_limit": way})
    return rows


def _chance(case: Case) -> float:
    """The mean of what guessing gets in the model's own tasks that the run measured; 0 for tasks that do not say."""
    from core.measures.outside.tasks import own_chances

    known = own_chances(case.lm, case.assets)
    names = sorted({name for scores in case.scores.values() for name in scores if name.startswith("task_")})
    chances = [known.get(name.removeprefix("task_"), 0.0) for name in names if name != "task_mean"]
    return sum(chances) / len(chances) if chances else 0.0


STUDY = EarlyWarning
