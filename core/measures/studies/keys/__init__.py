"""Keys: how a change acts on the layers' usual inputs, and how many directions the edited keys span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from core import ceiling
from core.charts.grammar import Chart
from core.editing.settings.parameters import param
from core.measures.study.result import StudyResult

if TYPE_CHECKING:
    from torch import Tensor

    from core.editing.priors.lowrank import Factors
    from core.measures.study.case import Case, Weights


@dataclass(frozen=True, kw_only=True)
class Keys:
    """FastEdit's s_t, s̄_t and s_t*, and the spectrum of the keys that were edited."""

    title: ClassVar[str] = "Keys, and how the change acts on them"
    of: ClassVar[str] = "weights"
    question: ClassVar[str] = (
        "Does the change act on inputs that the layer already knows, and how many directions do keys span?"
    )
    source: ClassVar[str] = "FastEdit, Figures 1, 9, 12 and 13"

    energy: float = param(
        0.8, symbol="γ₀", gt=0, le=1, help="U: the fewest directions of C0 that hold this share of its trace."
    )
    rank: int | None = param(
        None, symbol="r₀", ge=1, le=ceiling.WIDTH, help="The number of U's directions, instead of that share."
    )
    change: str = param(
        "accumulated", choices=("accumulated", "per round"), help="ΔW: W_t − W_0, or the update of round t alone."
    )
    scaled: bool = param(False, help="Scale U's directions by the square root of their variance, as the prior does.")
    keys: int = param(5000, ge=1, le=ceiling.SAMPLED, help="Number of keys to decompose, from the first edit on.")
    layer: int | None = param(
        None,
        ge=0,
        le=ceiling.LAYERS,
        help="Layer of the keys; none: the layer that most rounds edited, the last of several.",
    )

    def seconds(self, case: Case, rounds: Sequence[int]) -> float:
        """About how long it will take here."""
        from core.measures.cost.cost_model import Work, decomposition, product

        d_out, d_in, n = case.lm.d_model, case.lm.d_ffn, min(self.keys, len(case.edited(max(rounds, default=0))))
        split = product(d_out, d_in, d_in // 2).times(2 * len(rounds) * len(case.layers))
        known = Work(eigen=float(d_in) ** 3).times(len(case.layers))
        return (split + known + decomposition(n, d_in).times(2 * len(rounds))).seconds(case.lm)

    def run(self, case: Case, rounds: Sequence[int]) -> StudyResult:
        """Tables `s` (per round), `s_layers` (per round and layer), `spectrum` (drawn) and `span` (per round)."""
        from core.measures.cost.cost_model import announcement
        from core.measures.studies.keys.fastedit_split import over_layers
        from core.measures.study.loop import each_state
        from core.measures.study.walk import broken, edited_rounds

        chosen = edited_rounds(case, rounds)
        notes = announcement(self.seconds(case, chosen))
        case.report(0, len(chosen) + 1)
        known, lacking = self._known(case)
        notes += lacking
        why = {"s": lacking[0] if lacking else "an update before the first asked round is not finite"}
        layers: list[dict[str, Any]] = []
        norms: list[dict[str, Any]] = []
        for t, weights in each_state(case, chosen if known else (), behind=1):
            if bad := broken(weights):
                notes.append(f"round {t}: layers {bad} hold numbers that are not finite; no s_t from here on")
                break
            splits = {layer: self._split(case, weights, t, layer, factors) for layer, factors in known.items()}
            layers += [{"round": t, "layer": layer} | over_layers([pair]) for layer, pair in splits.items()]
            norms += [{"round": t, "norm": name, "value": v} for name, v in over_layers(list(splits.values())).items()]
        spectrum, span = self._spectra(case, chosen, notes)
        why |= {"s_layers": why["s"]} | dict.fromkeys(("spectrum", "span"), notes[-1] if notes else "")
        case.report(len(chosen) + 1, len(chosen) + 1)
        return StudyResult(
            tables={"s": norms, "s_layers": layers, "spectrum": spectrum, "span": span},
            charts=_charts(bool(norms), bool(span)),
            protocol=self._protocol(known),
            notes=notes,
            empty=why,
        )

    def _known(self, case: Case) -> tuple[dict[int, Factors], list[str]]:
        """U of each edited layer, from C0 alone: the same for all lanes that edit the layer, whatever their prior;
        and the reason if there is none."""
        from core.editing.failure import EditFailure
        from core.editing.priors.lowrank import LowRankPrior

        prior, factors = LowRankPrior(alpha=0.0, energy=self.energy, rank=self.rank), {}
        for layer in case.layers:
            case.beat()
            weight = case.lm.original(layer)
            context = case.session.context(layer, weight, weight.new_zeros(weight.shape[1], 0), prior)
            try:
                factors[layer] = prior.factors(context)
            except EditFailure as failure:
                return {}, [f"s_t was left out: {failure}"]
        return factors, []

    def _split(self, case: Case, weights: Weights, t: int, layer: int, factors: Factors) -> tuple[float, float]:
        """(s, s̄) of one layer."""
        from core.measures.studies.keys.fastedit_split import split_norms

        delta = weights[layer] - case.lm.original(layer)
        if self.change == "per round":
            own = case.update(t).updates.get(layer)  # a branch's first rounds may have left the layer alone
            delta = delta * 0 if own is None else own.dense()
        return split_norms(delta, factors.vectors, factors.values.sqrt() if self.scaled else None)

    def _spectra(
        self, case: Case, chosen: Sequence[int], notes: list[str]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Spectra of K = [k_1 … k_n] after the requested rounds, for drawing, with their summaries."""
        from core.errors import UserError
        from core.measures.inside.ranks import effective_ranks, smallest
        from core.measures.inside.spectrum import cumulative_energy, thin

        last = chosen[-1]
        layer = case.most_edited(last) if self.layer is None else self.layer
        if layer not in case.layers:
            raise UserError(f'Lane "{case.lane}" edits layers {list(case.layers)}, not {layer}.')
        drawn: list[dict[str, Any]] = []
        span: list[dict[str, Any]] = []
        parts: list[Tensor] = []
        rounds = [t for t in case.ledger.rounds(case.lane) if t <= last]
        others = [t for t in rounds if layer not in case.layers_of(t)]
        if others:
            notes.append(f"keys are those of layer {layer}: {len(others)} of {len(rounds)} rounds edited other layers")
        for t in rounds:
            keys = case.update(t).keys.get(layer)
            if keys is not None and keys.shape[1]:
                parts.append(keys.double())
            if t not in chosen or not parts:
                continue
            sigma, count = _singular_values(parts, self.keys)
            if sigma is None:
                notes.append(f"round {t}: its keys are not all finite and were left out")
                continue
            shares, energy = cumulative_energy(sigma.square()), cumulative_energy(sigma)
            drawn += [
                {"round": t, "k": i + 1, "sigma": float(sigma[i])}
                | {"cumulative_squares": float(shares[i]), "cumulative": float(energy[i])}
                for i in thin(len(sigma))
            ]
            span.append(
                {"round": t, "layer": layer, "keys": count, "width": len(parts[0])}
                | effective_ranks(sigma)
                | smallest(sigma)
            )
        if not parts:
            title = case.recipe.method.title
            notes.append(f"{title} recorded no keys at layer {layer} up to round {last}, so they have no spectrum")
        return drawn, span

    def _protocol(self, known: dict[int, Factors]) -> str:
        ranks = ", ".join(f"{layer}: {factors.vectors.shape[1]}" for layer, factors in known.items())
        what = "W_t − W_0" if self.change == "accumulated" else "the update of round t alone"
        chosen = f"the first {self.rank}" if self.rank else f"as many as hold {self.energy:g} of its trace"
        return (
            f"s = ‖ΔW U‖_F, s̄ = ‖ΔW V‖_F, s* = s + s̄ of {what}, the lane's edited layers joined by squares; U:"
            f" eigenvectors of the layer's uncentred C0, {chosen} (directions by layer: {ranks or 'none'}), the same"
            f" for all lanes, also for those whose low-rank prior has a U of its own,"
            f" {'scaled by σ' if self.scaled else 'orthonormal'}; V: their orthogonal complement. Key spectrum:"
            f" singular values of the first {self.keys:,} keys in the order of their edits, uncentred, as recorded at"
            " edit time."
        )


def _singular_values(parts: Sequence[Tensor], most: int) -> tuple[Tensor | None, int]:
    """σ of the first `most` keys, by the smaller Gram matrix's side; None if they are not finite."""
    from core.lazy import torch

    keys = torch.cat(list(parts), 1)[:, :most]
    if not bool(torch.isfinite(keys).all()):
        return None, keys.shape[1]
    return torch.linalg.svdvals(keys), keys.shape[1]


def _charts(with_norms: bool, with_keys: bool) -> list[Chart]:
    split = Chart(
        table="s",
        kind="line",
        x="round",
        y="value",
        by="norm",
        title="Change along known inputs (s), along the others (s_bar), and the sum (s_star)",
        x_title="after round",
        y_title="‖·‖_F",
    )
    return [split] * with_norms + with_keys * [
        Chart(
            table="spectrum",
            kind="line",
            x="k",
            y="sigma",
            by="round",
            title="Singular values of the edited keys",
            x_title="k",
            y_title="σ_k",
            log_y=True,
        ),
        Chart(
            table="spectrum",
            kind="line",
            x="k",
            y="cumulative_squares",
            by="round",
            title="Cumulative energy of the edited keys",
            x_title="directions",
            y_title="share of Σσ²",
            unit="share",
        ),
        Chart(
            table="span",
            kind="line",
            x="keys",
            y="r_entropy",
            title="Effective rank of the edited keys",
            x_title="keys",
            y_title="exp of the entropy of σ/Σσ",
        ),
    ]


STUDY = Keys
