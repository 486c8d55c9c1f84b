"""The part of a measurement on the model's outputs: scores of facts, recall, locality, perplexity and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.facts.fact import Fact
from core.measures.config import MeasureConfig
from core.measures.measurement import Measurement, rounded
from core.measures.outside import scores
from core.measures.outside.locality import Locality
from core.measures.outside.perplexity import perplexity
from core.measures.outside.tasks import Tasks
from core.measures.outside.texts import Texts
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

    def measure(self, result: Measurement, moment: Moment, step: Steps) -> None:
        """Add scores of facts, recall of unedited ones, locality, perplexity and tasks; the weights are worn.

        Locality comes first: its ratings of the neighbors' answers serve the scores too.
        """
        config, edited, just = self.config, moment.edited, moment.just
        count = config.final_sample if moment.final else config.sample
        chosen = scores.spread_sample(list(edited) or range(len(self.facts)), count, config.seed)
        fresh = scores.spread_sample(list(just), WHEN_EDITED, config.seed)
        others = scores.spread_sample(range(len(self.unedited)), config.unedited, config.seed)
        answers = scores.Answers(self.lm, step.beat)
        total = len(chosen) + len(fresh) + len(others)
        step.report("scores", 0, total)
        facts = [self.facts[i] for i in chosen]
        locality = self.locality.measure(facts, config.seed, step.beat, answers, edited=bool(moment.weights))
        rows = scores.score_facts(answers, facts, config.paraphrases, config.neighbors)
        step.report("scores", len(chosen), total)
        new = scores.score_facts(answers, [self.facts[i] for i in fresh], direct_only=True)
        recalled = scores.recall(answers, [self.unedited[i] for i in others])
        step.report("scores", total, total)
        result.scores |= {"edits": len(edited), "scored": len(chosen)} | scores.summarise(rows)
        result.scores |= by_kind(facts, rows)
        result.scores |= when_edited(scores.summarise(new), len(fresh), len(just), rounded(dict(moment.previous or {})))
        result.scores |= {"unedited_recall": scores.mean(recalled), "unedited_scored": len(others)}
        result.scores |= {column: row and row["value"] for column, row in locality.items()}
        if config.perplexity and self.texts.prose:
            result.scores["perplexity"] = perplexity(self.lm, self.texts.prose, config.perplexity, step.beat)
        result.intervals = scores.intervals(rows, config.seed)
        result.intervals |= {column: [row["low"], row["high"]] for column, row in locality.items() if row}
        if recalled:
            result.intervals["unedited_recall"] = list(scores.bootstrap(recalled, config.seed))
        if answers.not_numbers:
            result.notes.append(f"{answers.not_numbers} answers had no finite probability (NaN) and count as wrong")
        tasks = self.tasks.evaluate(step.beat) if self.tasks else {}
        result.scores["task_mean"] = self.tasks.mean(tasks) if self.tasks else None
        result.scores |= {f"task_{name}": value for name, value in tasks.items()}
        step.report("tasks", len(tasks), len(tasks))


def by_kind(facts: Sequence[Fact], rows: Sequence[scores.Row]) -> dict[str, float | None]:
    """The six scores of each kind of facts alone (`efficacy_known`, …); nothing if the facts have no kinds."""
    found: dict[str, float | None] = {}
    for kind in sorted({fact.kind for fact in facts} - {""}):
        of_kind = scores.summarise([row for fact, row in zip(facts, rows, strict=True) if fact.kind == kind])
        found |= {f"{column}_{kind}": value for column, value in of_kind.items()}
    return found


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
