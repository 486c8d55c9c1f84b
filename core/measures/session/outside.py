"""The part of a measurement on the model's outputs: scores of facts, recall, locality, perplexity and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.facts.fact import Fact
from core.measures.config import MeasureConfig
from core.measures.measurement import Measurement, rounded
from core.measures.outside import scores
from core.measures.outside.free_answers import FreeAnswers
from core.measures.outside.locality import Locality
from core.measures.outside.perplexity import perplexity
from core.measures.outside.tasks import Tasks
from core.measures.outside.texts import Texts
from core.measures.session.asked import AskedFacts, in_states
from core.measures.session.moment import Moment
from core.measures.session.steps import Steps
from core.models.language_model import LanguageModel

WHEN = {"efficacy": "efficacy_when_edited", "efficacy_exact": "efficacy_exact_when_edited"}
WHEN_EDITED = 50  # facts of a round that are scored right after it for `efficacy_when_edited`


@dataclass(frozen=True)
class OutsideMeasures:
    """The measures of the model's outputs after each measured round."""

    lm: LanguageModel
    facts: Sequence[Fact]
    unedited: Sequence[Fact]
    config: MeasureConfig
    texts: Texts
    tasks: Tasks | None
    locality: Locality
    free: FreeAnswers | None = None

    def measure(self, result: Measurement, moment: Moment, step: Steps) -> None:
        """Add scores of facts, recall of unedited ones, locality, perplexity and tasks; the weights are worn.

        With `apart` facts are asked in states of their own, each right after its edit; all else in the present one.
        """
        config, edited, just = self.config, moment.edited, moment.just
        apart = moment.apart if edited else None
        count = config.final_sample if moment.final else config.sample
        chosen = scores.spread_sample(list(edited) or range(len(self.facts)), count, config.seed)
        fresh = scores.spread_sample([] if apart else list(just), WHEN_EDITED, config.seed)
        others = scores.spread_sample(range(len(self.unedited)), config.unedited, config.seed)
        freely = set(scores.spread_sample(chosen, config.generated, config.seed)) if self.free else set()
        answers = scores.Answers(self.lm, step.beat)
        total, done = len(chosen) + len(fresh) + len(others), 0
        asked = AskedFacts(self.lm, self.locality, self.free, config.paraphrases, config.neighbors, step.beat)
        for some, state in in_states(self.lm, chosen, apart):
            step.report("scores", done, total)
            own = scores.Answers(self.lm, step.beat) if apart else answers
            with state:
                asked.ask([self.facts[i] for i in some], [i in freely for i in some], own, bool(moment.weights))
            done, asked.not_numbers = done + len(some), asked.not_numbers + (own.not_numbers if apart else 0)
        step.report("scores", len(chosen), total)
        columns, result.intervals = asked.summary(config.seed)
        result.scores |= {"edits": len(edited), "scored": len(chosen)} | columns
        if not apart:
            new = scores.score_facts(answers, [self.facts[i] for i in fresh], direct_only=True)
            before = rounded(dict(moment.previous or {}))
            result.scores |= when_edited(scores.summarise(new), len(fresh), len(just), before)
        if freely:
            result.scores["generated"] = len(freely)
        recalled = scores.recall(answers, [self.unedited[i] for i in others])
        step.report("scores", total, total)
        result.scores |= {"unedited_recall": scores.mean(recalled), "unedited_scored": len(others)}
        if config.perplexity and self.texts.prose:
            result.scores["perplexity"] = perplexity(self.lm, self.texts.prose, config.perplexity, step.beat)
        if recalled:
            result.intervals["unedited_recall"] = list(scores.share_interval(recalled, config.seed))
        if bad := asked.not_numbers + answers.not_numbers:
            result.notes.append(f"{bad} answers had no finite probability (NaN) and count as wrong")
        if asked.broken:
            result.notes.append(f"{asked.broken} free answers ended early: their logits were not finite")
        tasks = self.tasks.evaluate(step.beat) if self.tasks else {}
        result.scores["task_mean"] = self.tasks.mean(tasks) if self.tasks else None
        result.scores |= {f"task_{name}": value for name, value in tasks.items()}
        step.report("tasks", len(tasks), len(tasks))


def when_edited(
    new: Mapping[str, float | None], scored: int, edits: int, previous: Mapping[str, Any]
) -> dict[str, float | int | None]:
    """`efficacy_when_edited` over all facts so far, each as it was right after its edit.

    The mean so far stands for `scored_when_edited` facts; the new round's (a sample of `scored`) for all its `edits`.
    """
    before = previous.get("scored_when_edited") or 0
    row: dict[str, float | int | None] = {"scored_when_edited": before + edits}
    for column, name in WHEN.items():
        old, now = previous.get(name), new[column]
        if old is None or now is None or not scored:
            row[name] = old if now is None else now
        else:
            row[name] = (old * before + now * edits) / (before + edits)
    return row
