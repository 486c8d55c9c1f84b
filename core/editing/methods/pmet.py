"""PMET: values from FFN and attention optimised together, of which only the FFN's are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import Round
from core.editing.methods.memit import Memit
from core.editing.settings.defaults import GPT_J, LLAMA_2, Default, ModelInfo, Published, published
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate

PUBLISHED = (
    Published(
        GPT_J,
        "the PMET authors' configuration",
        {"layers": (3, 4, 5, 6, 7, 8), "steps": 30, "lr": 0.2, "clamp": 0.75, "weight_decay": 0.5, "kl": 1.0}
        | {"lambda": 6000.0},
    ),
    Published(
        LLAMA_2,
        "EasyEdit's configuration of PMET",
        {"layers": (4, 5, 6, 7, 8), "steps": 20, "lr": 0.5, "clamp": 1.0, "weight_decay": 0.5, "kl": 0.0625}
        | {"lambda": 15000.0},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Pmet(Memit):
    """Δ = R / √(n − i) Kᵀ (λ C0 + K Kᵀ)⁻¹ (Li et al. 2024, Eq. 14): MEMIT's solve, with more of R for lower layers.

    δ of the FFN's and of the attention's output are optimised together, each within its own clamp; R is the residual of
    the FFN's output in the last layer. The attention's δ only helps the optimisation. Lower layers hardly change the
    last FFN's output: the residual there remains until the last layer.
    """

    title: ClassVar[str] = "PMET"
    paper: ClassVar[str] = "arXiv 2308.08742"
    site: ClassVar[str] = "ffn"

    steps: int = param(30, ge=1, le=ceiling.STEPS, help="Evaluations of the value loss; no step follows the last.")
    lr: float = param(0.2, gt=0, le=ceiling.RATIO, help="Adam's learning rate in the value optimisation.")
    clamp: float = param(
        0.75, gt=0, le=ceiling.RATIO, help="Maximum ‖δ‖ / ‖h0‖, for the FFN output and for the attention output."
    )
    kl: float = param(
        1.0,
        symbol="κ",
        ge=0,
        le=ceiling.WEIGHT,
        help="Weight of KL(edited ‖ original) at the subject in “{subject} is a”.",
    )
    eased: float = param(0.1, ge=0, le=1, help="Weight of the target loss once every target is the arg-max.")
    enough_kl: float = param(
        0.01, ge=0, le=ceiling.RATIO, help="A fact is done when its targets are the arg-max and κ KL is this small."
    )
    lambda_: float | None = param(
        6000.0,
        name="lambda",
        symbol="λ",
        gt=0,
        le=ceiling.WEIGHT,
        help="Weight of old associations relative to new ones; null: the measured size of a typical key.",
    )

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """The published settings; MEMIT's for other models."""
        return published(model, PUBLISHED) or super().usual(model)

    def idle(self) -> dict[str, str]:
        """Its own optimisation has Adam's steps only."""
        return {"optimizer": "PMET's two δ are found by Adam"}

    def edit(self, round_: Round) -> RoundUpdate:
        """All facts together, towards values of the FFN's output."""
        from core.editing.methods._pmet_values import joint_values
        from core.editing.rounds.procedures import all_at_once, wrapped_values

        return all_at_once(round_, lambda own: wrapped_values(own, joint_values(own, self)))

    def share(self, index: int, count: int) -> float:
        """The part of the remaining residual that the `index`-th of `count` layers takes."""
        return (count - index) ** -0.5


METHOD = Pmet
