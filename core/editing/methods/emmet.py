"""EMMET: ROME's equality constraint for many facts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing.failure import EditFailure
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.solve import by_factor, factor
from core.editing.methods.memit import weight
from core.editing.rounds.locate_then_edit import LocateThenEdit
from core.editing.settings.defaults import GPT2_XL, GPT_J, LLAMA_2, Default, ModelInfo, Published, published
from core.editing.settings.parameters import param
from core.lazy import torch

RCOND = 1e-12  # a Gram matrix worse than this is inverted in the sense of Moore and Penrose
CODE = "the EMMET authors' configuration"
PUBLISHED = (
    Published(
        GPT2_XL,
        CODE,
        {"layers": (17,), "steps": 20, "lr": 0.5, "clamp": 0.75, "weight_decay": 0.5, "lambda": 1000.0},
    ),
    Published(GPT_J, CODE, {"layers": (5,), "steps": 25, "lr": 0.5, "clamp": 0.75, "weight_decay": 0.5, "lambda": 1.0}),
    Published(
        LLAMA_2, CODE, {"layers": (5,), "steps": 25, "lr": 0.5, "clamp": 4.0, "weight_decay": 1e-3, "lambda": 1.0}
    ),
)


@dataclass(frozen=True, kw_only=True)
class Emmet(LocateThenEdit):
    """Δ = R (Kᵀ A⁻¹ K + ρ I)⁻¹ Kᵀ A⁻¹, A = λ C0: least ‖Δ C0^½‖ with (W + Δ) K = V (Gupta et al. 2024, Eq. 13).

    Without ρ the constraint holds exactly and λ cancels, unless `history` adds K_p K_pᵀ to A (FastEdit, Eq. 22). With
    ρ (.1 in its authors' code) this is MEMIT with weight ρλ. `ridge` ε as in MEMIT.
    """

    title: ClassVar[str] = "EMMET"
    paper: ClassVar[str] = "arXiv 2403.14236"

    lambda_: float | None = param(
        15000.0,
        name="lambda",
        symbol="λ",
        gt=0,
        le=ceiling.WEIGHT,
        help="Weight of C0 relative to ρ and earlier keys; cancels without both; null: the size of a typical key.",
    )
    rho: float = param(
        0.0, symbol="ρ", ge=0, le=ceiling.WEIGHT, help="Relaxes the equality constraint; 0: it holds exactly."
    )
    ridge: float = param(
        0.0, symbol="ε", ge=0, le=ceiling.RATIO, help="Share of the mean variance added to every direction of C0."
    )
    history: bool = param(False, help="Protect the keys of earlier rounds as well.")

    def idle(self) -> dict[str, str]:
        """λ, if nothing competes with C0."""
        own = {} if self.history or self.rho else {"lambda": "without ρ and earlier keys it cancels"}
        return {**super().idle(), **own}

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """The published settings (one layer); MEMIT's for other models. With FastEdit's prior see `priors.lowrank`."""
        return published(model, PUBLISHED) or super().usual(model)

    def update(
        self,
        keys: Float[torch.Tensor, "d_in b"],
        residual: Float[torch.Tensor, "d_out b"],
        context: LayerContext,
    ) -> LowRank:
        """Δ of one layer. Facts with the same key (no exact solution) get the least-squares one, and a note."""
        lambda_ = weight(context, self.lambda_, self.ridge)
        carried = context.metric(lambda_, self.ridge, self.history).solve_keys(keys)
        gram = keys.T @ carried
        gram = (gram + gram.T) / 2
        gram.diagonal().add_(self.rho)
        broken = (~torch.isfinite(gram.diagonal())).nonzero()
        if len(broken) or not bool(torch.isfinite(gram).all()):
            raise EditFailure(
                f"Layer {context.layer}: its key is too large to be weighted against the layer's statistics.",
                fact=int(broken[0]) if len(broken) else None,
                too_large=True,
            )
        sizes = torch.linalg.eigvalsh(gram)
        if float(sizes[0]) > RCOND * float(sizes[-1]):
            return LowRank(residual, by_factor(factor(gram, context.layer), carried.T).T)
        context.notes.append(
            f'Layer {context.layer}: several facts have the same key; fallback "pinv": they are satisfied on average.'
        )
        return LowRank(residual, carried @ torch.linalg.pinv(gram, rtol=RCOND, hermitian=True))


METHOD = Emmet
