"""MOSE: the weight is rotated, W ← R W with R orthogonal, so that its norm and condition number do not change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing import methods
from core.editing.failure import EditFailure
from core.editing.lane.method import Round
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.orthogonal import accumulated, fixed_outputs, procrustes, thin
from core.editing.rounds.locate_then_edit import LocateThenEdit
from core.editing.settings.defaults import Default, ModelInfo, is_pocket
from core.editing.settings.parameters import param
from core.errors import UserError
from core.lazy import torch

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate

FAR = 0.1  # share of a residual that no rotation can give, from which on there is a note
DEPARTED = 1e-4  # ‖W − Q W0‖ / ‖W‖ from which W is no longer a rotated W0: a guard has changed it
POCKET = {
    "layers": Default(
        (0, 1, 2, 3, 4),
        "Candidates: the layers before the fifth. From the fifth on, the model reads out its knowledge.",
    ),
    "clamp": Default(
        1.0, "A rotation reaches a value's direction, not its norm, so values are optimised in a larger radius."
    ),
    "stop_loss": Default(
        0.01, "For the same reason: of 50 facts (seed 101) .98 are then exact, .86 with MEMIT’s values in five layers."
    ),
}

NARROW = (
    "On the embedded model MOSE's efficacy falls with the size of a round: .98 of 50 facts (seed 101), .88 of 100 (seed"
    " 102; MEMIT: all). A rotation preserves norms, which bounds what it can add, and 256 outputs hold few facts. All"
    " numbers: python -m tests.bench.mose."
)


@dataclass(frozen=True, kw_only=True)
class Mose(LocateThenEdit):
    """R = argmin over orthogonal R of λ ‖R W K0 − W K0‖² + ‖R W K − V‖² = U Vᵀ of M = λ W C0 Wᵀ + V (W K)ᵀ (Eq. 17-20).

    V = W K + the residual. W is the current weight, kept as Q W0 with Q = R_t ⋯ R_1 orthogonal to float64's precision.
    The edited layers are chosen per round: the candidate where the new values are nearest for their size (Eq. 22), and
    the two beside it (`reach` 1). What the paper leaves open (λ, the candidates, which values are sought) is a field.
    R keeps ‖W k‖: a value of another norm cannot be reached, unless `match_norms` asks for its direction only.
    """

    title: ClassVar[str] = "MOSE"
    paper: ClassVar[str] = "Multiplicative Orthogonal Sequential Editing"
    keeps_lengths: ClassVar[bool] = True

    ratio: float = param(
        1.0, symbol="ρ", gt=0, le=ceiling.RATIO, help="Weight of preserving old outputs: λ = ρ ‖W K‖² / tr(W C0 Wᵀ)."
    )
    absolute: bool = param(False, help="Use ρ as λ, without scaling by keys and statistics.")
    preserve: str = param(
        "current", choices=("current", "original"), help="Outputs to preserve: the current weight's, or the original's."
    )
    match_norms: bool = param(False, help="Scale each new value to the norm of the output that it replaces.")
    select: str = param(
        "neighbors",
        choices=("fixed", "selected", "neighbors"),
        help="Edit a fixed layer, the layer selected among L, or that one and its neighbors in L.",
    )
    reach: int = param(
        1,
        ge=0,
        le=ceiling.LAYERS,
        help="Number of neighbors in L, on each side of the selected layer, that are edited too.",
    )
    fixed_layer: int | None = param(
        None, ge=0, le=ceiling.LAYERS, help="The layer to edit if it is fixed (ROME's), one of L."
    )
    select_steps: int = param(
        5, ge=1, le=ceiling.STEPS, help="Evaluations of the value loss per layer when a layer is selected."
    )

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """MEMIT's value optimisation; all layers but the first and the last two are candidates, MEMIT's on the embedded
        model."""
        shared = super().usual(model)
        rome = methods.get("rome").usual(model)["layers"]
        fixed = {"fixed_layer": Default(rome.value[0], f"The layer that ROME edits here. {rome.reason}")}
        if is_pocket(model):
            return {**shared, **POCKET, **fixed}
        layers = tuple(sorted({*range(1, model.n_layers - 2), *rome.value}))
        return {**shared, "layers": Default(layers, "Candidates: all layers but the first and the last two."), **fixed}

    def cautions(self, model: ModelInfo) -> tuple[str, ...]:
        """A warning on how much a rotation can store in the embedded model."""
        return (NARROW,) if is_pocket(model) else ()

    def edit(self, round_: Round) -> RoundUpdate:
        """Choose the round's layers, then as in MEMIT: values at the last of them, spread over all of them."""
        from core.editing.rounds.procedures import all_at_once

        with round_.session.watch.phase("select"):
            layers = round_.once("layers", lambda: self.chosen(round_))
        narrowed = replace(round_.recipe, method=replace(self, layers=layers))
        return all_at_once(replace(round_, recipe=narrowed))

    def chosen(self, round_: Round) -> tuple[int, ...]:
        """The layers to edit, ascending."""
        layers = round_.recipe.layers
        if self.select == "fixed":
            layer = layers[0] if len(layers) == 1 and self.fixed_layer is None else self.fixed_layer
            if layer not in layers:
                raise UserError(f'MOSE with "select": "fixed" needs "fixed_layer", one of layers {list(layers)}.')
            return (layer,)
        from core.editing.rounds.layer_choice import nearest_layer

        reach = self.reach if self.select == "neighbors" else 0
        if layers[-1] - layers[0] <= reach:
            return layers  # whichever were selected
        best = nearest_layer(round_, self.select_steps)
        return tuple(layer for layer in layers if abs(layer - best) <= reach)

    def update(
        self,
        keys: Float[torch.Tensor, "d_in b"],
        residual: Float[torch.Tensor, "d_out b"],
        context: LayerContext,
    ) -> LowRank:
        """ΔW = R W − W of one layer. In a guard-aware lane R does not change what guards protect of W's outputs."""
        whole = context.whole or context
        original, current = context.original.double(), context.weight.double()
        nearest = accumulated(current, original)
        turned: torch.Tensor | None = nearest
        weight = nearest @ original
        if float((weight - current).norm()) > DEPARTED * float(current.norm()):
            context.notes.append(
                f"Layer {context.layer}: the guards changed W, so it is no longer a rotation of W0. Set guard_aware."
            )
            weight, turned = current, None
        preserved, strength = self.preserved(weight, turned, whole)
        outputs = weight @ keys
        target = outputs + residual
        beyond = float(
            ((target.norm(dim=0) - outputs.norm(dim=0)).abs() / residual.norm(dim=0).clamp(min=1e-300)).mean()
        )
        if beyond > FAR:
            context.notes.append(
                f"Layer {context.layer}: at least {beyond:.0%} of the residual is out of reach: a rotation preserves"
                " the norms of outputs, and the values have other norms."
            )
        if self.match_norms:
            target = target * (outputs.norm(dim=0) / target.norm(dim=0).clamp(min=1e-300))
        sizes = (float((outputs**2).sum()), strength)
        if not min(sizes) > 0:
            raise EditFailure(f"Layer {context.layer}: the weight's outputs are zero, so MOSE has nothing to rotate.")
        cost = self.ratio if self.absolute else self.ratio * sizes[0] / sizes[1]
        fixed = fixed_outputs(weight, context.blocked_outputs, context.blocked)
        turn, determined = procrustes(cost * preserved + target @ outputs.T, fixed)
        if not determined:
            context.notes.append(
                f"Layer {context.layer}: facts and statistics do not determine the rotation everywhere; there it is"
                " the identity. A larger ratio determines it."
            )
        return thin(turn @ weight - current, context.weight)

    def preserved(
        self,
        weight: Float[torch.Tensor, "d_out d_in"],
        turned: Float[torch.Tensor, "d_out d_out"] | None,
        context: LayerContext,
    ) -> tuple[Float[torch.Tensor, "d_out d_out"], float]:
        """(W C0 Wᵀ, or W0 C0 Wᵀ to preserve the original's outputs; tr(W C0 Wᵀ)). If W = Q W0, both are computed
        from W0 C0 W0ᵀ, which is computed once per run."""
        original = context.original.double()
        if turned is None:
            across = context.moment() @ weight.T
            outer = weight if self.preserve == "current" else original
            return outer @ across, float((weight.T * across).sum())
        first = context.once(("outputs",), lambda: original @ context.moment() @ original.T)
        return (turned @ first if self.preserve == "current" else first) @ turned.T, float(first.trace())


METHOD = Mose
