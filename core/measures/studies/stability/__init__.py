"""Hidden states before and after: R_k, perturbation norms, stability of principal directions, with their controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.errors import UserError
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from torch import Tensor

    from core.measures.inside.drift import Principal
    from core.measures.inside.probe_states import Probe
    from core.measures.study.case import Case

NULL, UNPAIRED, WRONG, SINGLE = "null edit", "other inputs, no edit", "wrong centring", "float32 factorisation"
Rows = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Stability:
    """R_k, ‖Δh‖ and principal-component stability at the down-projection's output, with controls without an edit."""

    title: ClassVar[str] = "Hidden states before and after"
    of: ClassVar[str] = "states"
    question: ClassVar[str] = "How far do hidden states move, along which directions, and how much is an artefact?"
    source: ClassVar[str] = "Revisiting parameter-based knowledge editing: Figures 2 and 6, Tables 1, 5-24"

    layers: tuple[int, ...] | None = param(None, help="Layers whose states are read; none: the edited layers.")
    tokens: int | None = param(
        None, ge=8, le=ceiling.PROBE_ROWS, help="Number of tokens to read; none: 4 per dimension, 1024 to 16384."
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import factorisation, passes, product

        d, n, layers = case.lm.d_model, self._tokens(case), len(self._layers(case, rounds))
        each = factorisation(n, d) + product(n, d, d)
        work = each.times((len(rounds) + 5) * layers) + passes(case.lm, n).times(len(rounds) + 3)
        return work.seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `r_k` (drawn), `summary`, `subspaces` and `spectra`; the controls are rows of the same tables."""
        from core.measures.cost.cost_model import announcement
        from core.measures.inside.probe_states import Probe
        from core.measures.study.loop import each_state
        from core.measures.study.walk import broken

        layers = self._layers(case, rounds)
        if max(layers) >= case.lm.n_layers:
            raise UserError(f"The model has layers 0 to {case.lm.n_layers - 1}; asked for {max(layers)}.")
        notes = announcement(self.seconds(case, rounds))
        case.report(0, len(rounds) + 1)
        probe = Probe.build(case.lm, layers, case.texts.drift, self._tokens(case), case.seed, case.beat)
        if isinstance(probe, str):
            raise UserError(f"{probe[0].upper()}{probe[1:]}.")
        if caution := probe.note():
            notes.append(caution)
        book = _Book(case, probe)
        book.controls(layers)
        for t, weights in each_state(case, rounds, ahead=1):
            if bad := broken(weights):
                notes.append(f"round {t}: layers {bad} hold numbers that are not finite; nothing was measured")
                continue
            states = probe.read(weights, layers, case.beat)
            for layer in layers:
                if not bool(states[layer].isfinite().all()):
                    notes.append(f"round {t}: the states of layer {layer} are not finite")
                    continue
                book.edited(layer, t, states[layer], last=t == max(rounds))
        case.report(len(rounds) + 1, len(rounds) + 1)
        return StudyResult(
            tables={"r_k": book.r_k, "summary": book.summary, "subspaces": book.subspaces, "spectra": book.spectra},
            charts=_charts(),
            protocol=(
                f"States of {probe.about(case.texts.drift_name)} (each distinct prefix once), at the"
                " down-projection's output, before and after on the same inputs. R_k = √n · mean|u_kᵀΔh| / σ_k"
                " with u_k, σ_k from the unedited states, centred per feature, factorised in float64; directions below"
                " the states' own round-off are left out. Subspaces: cosines of the principal angles between the first"
                " k principal directions before and after (the paper's tables hold the minimum)."
            ),
            notes=[*notes, *book.notes],
        )

    def _layers(self, case: Case, rounds: Sequence[int]) -> list[int]:
        """The layers of the states: the same at every round, those that rounds have edited by the last one."""
        return list(self.layers or case.edited_layers(max(rounds, default=0)))

    def _tokens(self, case: Case) -> int:
        from core.measures.config import MeasureConfig

        return MeasureConfig(probe_rows=self.tokens).rows_for(case.lm.d_model)


@dataclass
class _Book:
    """The tables of the study while it runs."""

    case: Case
    probe: Probe
    r_k: Rows = field(default_factory=list)
    summary: Rows = field(default_factory=list)
    subspaces: Rows = field(default_factory=list)
    spectra: Rows = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def controls(self, layers: Sequence[int]) -> None:
        """The results of a second pass, of other inputs and of a narrower type, without any edit."""
        from core.lazy import torch
        from core.measures.inside import drift
        from core.measures.studies.stability.subspaces import halves

        again = self.probe.read({}, layers, self.case.beat)
        for layer in layers:
            before, principal = self.probe.states[layer], self.probe.principal[layer]
            self._spectrum(layer, "unedited", principal)
            self._spectrum(layer, SINGLE, drift.factorise(before, dtype=torch.float32))
            repeated = drift.r_k(principal, again[layer] - before)[principal.real]
            self._values(layer, NULL, repeated, again[layer] - before)
            self._subspaces(layer, NULL, principal, drift.factorise(again[layer]))
            other = drift.resampled_control(principal, before, self.case.seed)[principal.real]
            self._values(layer, UNPAIRED, other, None)
            first, second = halves(len(before), self.case.seed)
            if len(first) < before.shape[1]:
                self.notes.append(
                    f"layer {layer}: too few tokens to compare the principal directions of their two halves"
                )
                continue
            of_first, of_second = drift.factorise(before[first]), drift.factorise(before[second])
            self._subspaces(layer, UNPAIRED, of_first, of_second)

    def edited(self, layer: int, t: int, states: Tensor, last: bool) -> None:
        """One layer after one round; after the last one also what wrong centring would have shown."""
        from core.lazy import torch
        from core.measures.inside import drift

        before, principal = self.probe.states[layer], self.probe.principal[layer]
        label, now = f"round {t}", drift.factorise(states)
        self._spectrum(layer, label, now)
        self._values(layer, label, drift.r_k(principal, states - before)[principal.real], states - before)
        self._subspaces(layer, label, principal, now)
        if last:
            wrong = drift.factorise(before, "sample", torch.float32)
            self._spectrum(layer, WRONG, wrong)
            self._values(layer, WRONG, drift.r_k(wrong, states - before), states - before)

    def _values(self, layer: int, label: str, values: Tensor, change: Tensor | None) -> None:
        from core.measures.inside import drift
        from core.measures.studies.stability.subspaces import perturbation

        drawn = drift.points(values)
        self.r_k += [
            {"where": f"layer {layer}", "what": label, "k": k + 1, "rk": rk}
            for k, rk in zip(drawn["k"], drawn["rk"], strict=True)
        ]
        norms: dict[str, Any] = dict.fromkeys(("norm_mean", "norm_std", "norm_min", "norm_max", "norm_relative"))
        if change is not None:
            norms = perturbation(change, self.probe.states[layer])
        self.summary.append(
            {"layer": layer, "what": label, "directions": len(values), "left_out": self.case.lm.d_model - len(values)}
            | drift.summary(values)
            | drift.details(values)
            | norms
        )

    def _subspaces(self, layer: int, label: str, before: Principal, after: Principal) -> None:
        from core.measures.studies.stability.subspaces import ranks_for, subspace_stability

        rows = subspace_stability(before, after, ranks_for(self.case.lm.d_model))
        self.subspaces += [{"where": f"layer {layer}", "what": label} | row for row in rows]

    def _spectrum(self, layer: int, label: str, principal: Principal) -> None:
        from core.measures.inside.ranks import effective_ranks, smallest

        self.spectra.append(
            {"layer": layer, "what": label, "width": len(principal.sigma)}
            | effective_ranks(principal.sigma)
            | smallest(principal.sigma)
        )


def _charts() -> list[Chart]:
    over_k = partial(Chart, kind="line", table="subspaces", x="k", by="what", facet="where", log_x=True)
    return [
        Chart(
            table="r_k",
            kind="line",
            x="k",
            y="rk",
            by="what",
            facet="where",
            title="R_k: change along each principal direction",
            x_title="k (principal direction, strongest first)",
            y_title="R_k",
            log_x=True,
            log_y=True,
            line=1.0,
            line_label="as large as the direction's own spread",
        ),
        over_k(y="minimum", title="Stability of principal directions", x_title="k", y_title="least cosine"),
        over_k(y="overlap", title="Overlap of principal subspaces", x_title="k", y_title="‖U_kᵀU'_k‖²/k"),
        Chart(
            table="summary",
            kind="bar",
            x="what",
            y="rk_over_1",
            by="layer",
            title="Directions that moved by more than their own spread",
            x_title="",
            y_title="share of directions with R_k > 1",
            unit="share",
        ),
    ]


STUDY = Stability
