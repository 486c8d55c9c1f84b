"""Perplexity on held-out text over rounds: the early sign of collapse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.errors import UserError
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.measures.study.case import Case


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """exp of the mean negative log-probability per token of text from the model's own domain."""

    title: ClassVar[str] = "Perplexity"
    question: ClassVar[str] = "Does the model still predict ordinary text as well as before?"
    source: ClassVar[str] = "Held-out perplexity, as in studies of collapse under sequential edits"

    tokens: int | None = param(
        2000, ge=1, le=ceiling.READ_TOKENS, help="Number of tokens to predict; none: the whole text."
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import passes
        from core.measures.outside.perplexity import rows

        tokens = sum(map(len, rows(case.lm, case.texts.prose, self.tokens)))
        return passes(case.lm, tokens * (len(rounds) + 1)).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Table `perplexity`: `round, perplexity, times` (that of the unedited model). `UserError` without texts."""
        from core.measures.outside.perplexity import perplexity, rows
        from core.measures.outside.texts import NO_PROSE
        from core.measures.study.loop import each_round

        count = sum(len(row) - 1 for row in rows(case.lm, case.texts.prose, self.tokens))
        if not count:
            raise UserError(f"Perplexity needs text that no edit concerns: {NO_PROSE}.")
        table: list[dict[str, Any]] = []
        with case.lm.worn({}):
            base = perplexity(case.lm, case.texts.prose, self.tokens, case.beat)
        for at, beat in each_round(case, rounds):
            with case.lm.worn(case.weights(at)):
                value = perplexity(case.lm, case.texts.prose, self.tokens, beat)
            table.append({"round": at, "perplexity": value, "times": value / base, "tokens": count})
        broken = [str(row["round"]) for row in table if not math.isfinite(row["perplexity"])]
        return StudyResult(
            tables={"perplexity": table},
            charts=[
                Chart(
                    table="perplexity",
                    kind="line",
                    x="round",
                    y="perplexity",
                    title="Perplexity of held-out text",
                    x_title="after round",
                    y_title="perplexity per token",
                    log_y=True,
                    line=base,
                    line_label="unedited model",
                )
            ],
            protocol=(
                f"exp of the mean negative log-probability (nats) of {count:,} tokens of {case.texts.prose_name},"
                " each predicted from the text before it."
            ),
            notes=[f"not finite after round {', '.join(broken)}"] if broken else [],
        )


STUDY = Perplexity
