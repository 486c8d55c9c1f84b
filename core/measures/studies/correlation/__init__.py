"""Does R_k predict how well edits work? Rank correlation over a run's measured rounds, with its significance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.errors import UserError
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from core.measures.inside.probe_states import Probe
    from core.measures.study.case import Case

SCORES = ("efficacy", "paraphrase", "neighborhood", "efficacy_exact", "unedited_recall", "task_mean")
OVER_K = ("median", "q90", "q95", "trimmed mean")
OVER_LAYERS = ("mean", "max", "median")
EDITS = "number of edits"  # the control: what any quantity that only grows gives
FEWEST, FEW = 3, 10  # rounds without which there is no correlation, and with which it says little
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's ρ between summaries of R_k and scores, over the asked rounds that the run measured."""

    title: ClassVar[str] = "Correlation of R_k with the scores"
    of: ClassVar[str] = "states"
    question: ClassVar[str] = "Do rounds with a larger R_k have worse scores, beyond what comes from being later?"
    source: ClassVar[str] = "Revisiting parameter-based knowledge editing: Tables 2, 25-28"

    layers: tuple[int, ...] | None = param(None, help="Layers whose R_k is used; none: the edited layers.")
    tokens: int | None = param(
        None, ge=8, le=ceiling.PROBE_ROWS, help="Number of tokens for R_k; none: 4 per dimension, 1024 to 16384."
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import factorisation, passes, product

        d, n, layers = case.lm.d_model, self._tokens(case), len(self._layers(case, rounds))
        work = factorisation(n, d).times(layers) + product(n, d, d).times(layers * len(rounds))
        return (work + passes(case.lm, n).times(len(rounds) + 2)).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `spearman` (a row per summary and score) and `rounds` (the correlated values)."""
        from core.measures.cost.cost_model import announcement
        from core.measures.studies.correlation.rank_correlation import holm

        measured = [t for t in sorted(set(rounds)) if t > 0 and t in case.scores]
        if len(measured) < FEWEST:
            raise UserError(
                f'Lane "{case.lane}": a rank correlation needs three measured rounds or more; of those asked for,'
                f" {len(measured)} were measured."
            )
        notes = announcement(self.seconds(case, measured))
        summaries, skipped = self._summaries(case, measured)
        finite = [t for t in measured if t not in skipped]
        if len(finite) < FEWEST:
            raise UserError(
                f'Lane "{case.lane}": a rank correlation needs three measured rounds or more; rounds {skipped} hold'
                f" numbers that are not finite, which leaves {len(finite)}."
            )
        notes += [f"round {t} has numbers that are not finite and was left out" for t in skipped]
        names = [name for name in SCORES if all(case.scores[t].get(name) is not None for t in finite)]
        scores = {name: [float(case.scores[t][name]) for t in finite] for name in names}
        table = [
            _row(over_k, over_layers, name, values, scores[name], case.seed)
            for (over_k, over_layers), values in summaries.items()
            for name in names
        ]
        tests = [row for row in table if row["over_k"] != EDITS]
        for row, adjusted in zip(tests, holm([row["p"] for row in tests]), strict=True):
            row["p_holm"] = adjusted
        case.report(len(measured), len(measured))
        return StudyResult(
            tables={"spearman": table, "rounds": _rounds(finite, summaries, scores)},
            charts=_charts(),
            protocol=(
                f"Spearman's ρ over {len(finite)} measured rounds. R_k on {case.texts.drift_name} is summarised over"
                f" k, then over layers {self._layers(case, measured)}; scores are those of the run, over all facts"
                " edited so far. p: over all orders of the rounds (20,000 random ones beyond eight rounds); p_t:"
                " Student's t with n − 2 degrees of freedom, as in the paper; p_holm: Holm's correction of p for the"
                f" {len(tests)} tests of this table."
            ),
            notes=[*notes, *_cautions(len(finite), len(tests), scores)],
            empty=dict.fromkeys(
                ("spearman", "rounds"), f"the run measured none of {', '.join(SCORES)} at all of these rounds"
            ),
        )

    def _layers(self, case: Case, rounds: Sequence[int]) -> list[int]:
        """The layers of R_k: the same at every round, without those that no round has edited by then."""
        return list(self.layers or case.edited_layers(max(rounds, default=0)))

    def _tokens(self, case: Case) -> int:
        from core.measures.config import MeasureConfig

        return MeasureConfig(probe_rows=self.tokens).rows_for(case.lm.d_model)

    def _summaries(self, case: Case, measured: Sequence[int]) -> tuple[dict[tuple[str, str], list[float]], list[int]]:
        """(summaries of R_k by (over k, over layers), a value per round; the rounds that have none)."""
        from core.measures.inside.probe_states import Probe
        from core.measures.study.loop import each_state
        from core.measures.study.walk import broken

        layers = self._layers(case, measured)
        case.report(0, len(measured))
        probe = Probe.build(case.lm, layers, case.texts.drift, self._tokens(case), case.seed, case.beat)
        if isinstance(probe, str):
            raise UserError(f"{probe[0].upper()}{probe[1:]}.")
        summaries: dict[tuple[str, str], list[float]] = {(k, over): [] for k in OVER_K for over in OVER_LAYERS}
        summaries[EDITS, ""] = []
        skipped = []
        for t, weights in each_state(case, measured):
            per_layer = None if broken(weights) else _per_layer(probe, weights, layers, case.beat)
            if per_layer is None:
                skipped.append(t)
                continue
            for name in OVER_K:
                values = [row[name] for row in per_layer]
                for over, value in zip(OVER_LAYERS, _over_layers(values), strict=True):
                    summaries[name, over].append(value)
            summaries[EDITS, ""].append(float(len(case.edited(t))))
        return summaries, skipped


def _per_layer(
    probe: Probe, weights: Any, layers: Sequence[int], beat: Callable[[], None]
) -> list[dict[str, float]] | None:
    """Summaries of R_k over k, by layer; None where a state is not finite."""
    from core.measures.studies.correlation.rank_correlation import trimmed_mean

    states = probe.read(weights, layers, beat)
    rows = []
    for layer in layers:
        if not bool(states[layer].isfinite().all()):
            return None
        values = probe.r_k(layer, states[layer]).double()
        quantiles = {name: float(values.quantile(q)) for name, q in (("median", 0.5), ("q90", 0.9), ("q95", 0.95))}
        rows.append(quantiles | {"trimmed mean": trimmed_mean(values.tolist())})
    return rows


def _over_layers(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, maximum and median."""
    from statistics import fmean, median

    return fmean(values), max(values), median(values)


def _row(
    over_k: str, over_layers: str, score: str, values: Sequence[float], scores: Sequence[float], seed: int
) -> dict[str, Any]:
    from core.measures.studies.correlation.rank_correlation import p_by_permutation, p_by_t, spearman

    rho = spearman(values, scores)
    summary = f"{over_k}, {over_layers} over layers" if over_layers else over_k
    return {
        "summary": summary,
        "over_k": over_k,
        "over_layers": over_layers,
        "score": score,
        "n": len(values),
        "rho": rho,
        "p": p_by_permutation(values, scores, seed),
        "p_t": p_by_t(rho, len(values)),
        "p_holm": None,
    }


def _rounds(
    finite: Sequence[int], summaries: Mapping[tuple[str, str], Sequence[float]], scores: Mapping[str, Sequence[float]]
) -> Rows:
    """The correlated values in long form: a row per round and score, with one summary of R_k."""
    return [
        {"round": t, "edits": int(summaries[EDITS, ""][i]), "rk": summaries["median", "mean"][i], "score": name}
        | {"value": values[i]}
        for name, values in scores.items()
        for i, t in enumerate(finite)
    ]


def _cautions(n: int, tests: int, scores: Mapping[str, Sequence[float]]) -> list[str]:
    """Warnings on the interpretation of ρ."""
    from math import factorial

    notes = []
    if n < FEW:
        least = f"{2 / factorial(n):.2g}"
        notes.append(
            f"n = {n} rounds is a small sample: the smallest possible p is {least}, before correcting for {tests} tests"
        )
    notes.append(
        "rounds of one run are not independent samples: R_k and scores both change as edits add up. Compare each ρ"
        f" with the row “{EDITS}”: any quantity that only grows with the edits correlates as strongly."
    )
    if flat := [name for name, values in scores.items() if len(set(values)) == 1]:
        notes.append(f"{', '.join(flat)} never changed, so there is no correlation")
    return notes


def _charts() -> list[Chart]:
    return [
        Chart(
            table="spearman",
            kind="heat",
            x="score",
            y="summary",
            z="rho",
            text="p_holm",
            title="Spearman's ρ of R_k with the scores (last row: of the number of edits)",
            x_title="score",
            y_title="summary of R_k",
        ),
        Chart(
            table="rounds",
            kind="scatter",
            x="rk",
            y="value",
            by="score",
            text="round",
            title="Median R_k (mean over layers) and scores, one point per measured round",
            x_title="median R_k",
            y_title="score",
        ),
    ]


STUDY = Correlation
