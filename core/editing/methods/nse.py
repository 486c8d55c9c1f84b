"""NSE: values from the unedited model, a selection of neurons, and a second pass for facts that need it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float, Int

from core import ceiling
from core.editing.lane.method import Round
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.solve import factor
from core.editing.methods.memit import Memit, weight
from core.editing.settings.defaults import GPT2_XL, GPT_J, LLAMA_3, Default, ModelInfo, Published, published
from core.editing.settings.parameters import param
from core.lazy import torch

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate, Values
    from core.editing.lane.state import LaneState

CODE = "the NSE authors' configuration"
PUBLISHED = (
    Published(GPT2_XL, CODE, {"lambda": 10000.0, "bounds": "absolute", "lower": 35.0, "upper": 150.0}),
    Published(GPT_J, CODE, {"neurons": 0.8, "bounds": "absolute", "lower": 15.0, "upper": 100.0}),
    Published(LLAMA_3, CODE, {"bounds": "absolute", "lower": 2.5, "upper": 50.0}),
)


@dataclass(frozen=True, kw_only=True)
class Nse(Memit):
    """Δ_S = R K_Sᵀ (λ C0_SS + (K_p K_pᵀ)_SS + K_S K_Sᵀ)⁻¹ on a set S of inputs (Jiang et al. 2025, Eq. 8).

    z comes from the unedited model ("weight rewinding"). In each pass the facts whose ‖z − current‖ is between two
    bounds are edited; a fact above the upper one is left. S: the inputs with the largest Σ |k| over the pass's facts,
    as many as make up a share p of it. The keys of all facts are protected in later rounds.
    """

    title: ClassVar[str] = "NSE"
    paper: ClassVar[str] = "arXiv 2410.04045"

    neurons: float = param(1.0, symbol="p", gt=0, le=1, help="Share of Σ |k| that the selected inputs hold.")
    passes: int = param(2, ge=1, le=10, help="Maximum number of passes over facts that miss their values.")
    bounds: str = param(
        "relative",
        choices=("relative", "absolute"),
        help="Bounds of ‖z − current‖: relative to ‖δ‖, or absolute (as published, for one model's states).",
    )
    lower: float = param(
        0.1, symbol="α_N", ge=0, le=ceiling.RATIO, help="A fact that misses its value by less is not edited (again)."
    )
    upper: float = param(10.0, gt=0, le=ceiling.RATIO, help="A fact that misses its value by more is never edited.")
    history: bool = param(True, help="Protect the keys of earlier rounds as well.")

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """MEMIT's settings, and the bounds, p and λ of the models that were published; shares for others."""
        return super().usual(model) | published(model, PUBLISHED)

    def edit(self, round_: Round) -> RoundUpdate:
        """Passes over the facts with a remaining residual, all towards the unedited model's values."""
        from core.editing.rounds.procedures import joined, spread_values, target_values, values_once

        values = values_once(round_, lambda here: target_values(here, original=True))
        state, steps = round_.state.copy(), []
        for number in range(self.passes):
            with round_.session.watch.phase("keys"):
                chosen = self.chosen(round_, state, values)
            if not len(chosen) and number:
                break
            part = replace(round_, facts=[round_.facts[i] for i in chosen.tolist()], state=state)
            steps.append(spread_values(part, picked(values, chosen)) if len(chosen) else nothing(round_, values))
            state.apply(steps[-1])
            state.history = dict(round_.state.history)  # the round's own keys are protected from the next one on
        update = joined(steps)
        with round_.session.watch.phase("keys"):
            protected = self.protected_keys(round_, state)
        notes = [*update.notes, f"{len(steps)} passes; the last over {len(steps[-1].values.loss)} facts."]
        return replace(
            update,
            keys=protected,
            residual_before=steps[0].residual_before,
            residual_after=steps[-1].residual_after,
            values=values,
            notes=notes,
            start=values.start.to(round_.lm.master_dtype),
            target=values.target.to(round_.lm.master_dtype),
        )

    def chosen(self, round_: Round, state: LaneState, values: Values) -> Int[torch.Tensor, " m"]:
        """The facts to edit in a pass."""
        from core.editing.values.keys import prompts, states

        with round_.lm.worn(state.sums):
            rows, last = prompts(round_.lm, round_.facts, ()), round_.recipe.layers[-1]
            current = states(round_.lm, rows, last, self.site, round_.heartbeat)
        missing = (values.target - current).norm(dim=0)
        if self.bounds == "relative":
            missing = missing / values.delta.norm(dim=0).clamp(min=1e-12)
        return ((missing > self.lower) & (missing < self.upper)).nonzero()[:, 0]

    def protected_keys(self, round_: Round, state: LaneState) -> dict[int, Float[torch.Tensor, "d_in b"]]:
        """The keys of all of the round's facts, on the model after the edit."""
        from core.editing.values.keys import Reading, prompts

        rows = prompts(round_.lm, round_.facts, round_.session.contexts(self))
        with round_.lm.worn(state.sums):
            reading = Reading(round_.lm, rows, self.flat_mean, round_.heartbeat)
            keys = {layer: reading.at(layer, layer).key for layer in round_.recipe.layers}
        return {layer: key.to(state.sums[layer].dtype) for layer, key in keys.items()}

    def update(
        self,
        keys: Float[torch.Tensor, "d_in b"],
        residual: Float[torch.Tensor, "d_out b"],
        context: LayerContext,
    ) -> LowRank:
        """Δ of one layer, zero outside the selected inputs."""
        if self.neurons == 1:
            return super().update(keys, residual, context)
        some = selected(keys, self.neurons)
        matrix = weight(context, self.lambda_, self.ridge) * context.moment()
        if self.ridge:
            matrix.diagonal().add_(self.ridge * matrix.diagonal().mean())
        seen = torch.cat([context.history.double() if self.history else keys[:, :0], keys], 1)[some]
        right = torch.zeros_like(keys)
        right[some] = torch.cholesky_solve(keys[some], factor(matrix[some][:, some] + seen @ seen.T, context.layer))
        return LowRank(residual, right)


def selected(keys: Float[torch.Tensor, "d_in b"], share: float) -> Int[torch.Tensor, " s"]:
    """The inputs with the largest Σ |k|, as many as together hold at most `share` of it; at least one."""
    score, order = keys.abs().sum(1).sort(descending=True, stable=True)
    count = int((score.cumsum(0) <= share * score.sum()).sum())
    return order[: max(count, 1)]


def picked(values: Values, chosen: Int[torch.Tensor, " m"]) -> Values:
    """The values of some facts."""
    parts = {part.name: getattr(values, part.name) for part in fields(values)}
    return type(values)(**{name: part.index_select(-1, chosen.to(part.device)) for name, part in parts.items()})


def nothing(round_: Round, values: Values) -> RoundUpdate:
    """The update of a round in which no fact is within the bounds."""
    from core.editing.lane.results import RoundUpdate

    layers, weights = round_.recipe.layers, round_.state.sums
    zero = {layer: LowRank(weights[layer][:, :0], weights[layer].T[:, :0].contiguous()) for layer in layers}
    return RoundUpdate(
        updates=zero,
        keys={layer: weights[layer].T[:, :0].contiguous() for layer in layers},
        raw=zero,
        removed_share=dict.fromkeys(layers, 0.0),
        residual_before=dict.fromkeys(layers, 1.0),
        residual_after=dict.fromkeys(layers, 1.0),
        values=picked(values, torch.zeros(0, dtype=torch.long)),
    )


METHOD = Nse
