"""SimIE: sequential editing by regression on the results of single edits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import Round, Wrapper
from core.editing.settings.defaults import Default, ModelInfo, is_pocket
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate


@dataclass(frozen=True, kw_only=True)
class Simie(Wrapper):
    """W_t = W_{t−1} + (Ŵ_t − W_{t−1}) K Kᵀ P_t⁻¹, P_t = P_{t−1} + K Kᵀ, P_0 = λ I.

    Ŵ_t is the wrapped method's result for the round's facts alone; K its keys at all tokens of prompts and targets.
    With `initial` Ŵ_t and K are those of the unedited model, and W_t is exactly W_0 + Δ for the ridge regression Δ =
    argmin Σ_i ‖(W_0 + Δ) K_i − Ŵ_i K_i‖² + λ ‖Δ‖². The lane's guards act on W_t − W_{t−1}, and its history consists of
    the keys K: the wrapped method has neither guards nor history.
    """

    title: ClassVar[str] = "SimIE"
    paper: ClassVar[str] = "SimIE (Guo et al. 2025)"

    lambda_: float = param(
        10.0,
        name="lambda",
        symbol="λ",
        gt=0,
        le=ceiling.WEIGHT,
        help="Weight of ‖W_t − W_0‖²: 1, 10 and 10000 are in use.",
    )
    initial: bool = param(True, help="Each round edits the unedited model (init_model); else the current one.")

    def idle(self) -> dict[str, str]:
        """Fields that have no effect on the wrapped method."""
        return dict.fromkeys(("history", "guard_aware"), "the wrapped method sees neither guards nor earlier keys")

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """The embedded model's own λ."""
        reason = "Chosen by efficacy: the model's keys are small relative to a λ of 10, which edits nothing."
        return {"lambda": Default(0.01, reason)} if is_pocket(model) else {}

    def edit(self, round_: Round) -> RoundUpdate:
        """The wrapped method's edit of the round, regressed."""
        from core.editing.wrappers._regression import regressed

        return regressed(round_, self.initial, self.lambda_)


WRAPPER = Simie
