"""AdaLoRA: an adapter in the form of a singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import Round
from core.editing.methods.lora import Lora
from core.editing.settings.defaults import GPT2_XL, GPT_J, LLAMA_2, LLAMA_3, Default, ModelInfo, Published, published
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate

CODE = "EasyEdit's configuration of AdaLoRA (which adapts other matrices)"
PUBLISHED = (
    Published(GPT2_XL, CODE, {"steps": 30}),
    Published(GPT_J, CODE, {"steps": 50}),
    Published(LLAMA_2, CODE, {"steps": 70}),
    Published(LLAMA_3, CODE, {"steps": 50}),
)


@dataclass(frozen=True, kw_only=True)
class AdaLora(Lora):
    """ΔW = α / (r + 10⁻⁵) P diag(e) Q of each down-projection, e = 0 at first, P and Q drawn from N(0, 0.02²).

    Adam minimises − log p of the targets' tokens plus a penalty on ‖Pᵀ P − I‖ and ‖Q Qᵀ − I‖ (Zhang et al. 2023, Eq. 4;
    as in peft Frobenius norms that are not squared). The paper's allocator of ranks is left out: EasyEdit, whose lanes
    others compare with, never calls it, so that all ranks stay at peft's initial 12, whatever its field "rank" says.
    One adapter goes on through all rounds, with new moments in each. EasyEdit adapts the queries and values of
    attention, with dropout; here it is the down-projections, and none.
    """

    title: ClassVar[str] = "AdaLoRA"
    paper: ClassVar[str] = "Zhang et al. 2023; EasyEdit's configuration"

    rank: int = param(12, symbol="r", ge=1, le=ceiling.SAMPLED, help="The rank of ΔW: 12 in EasyEdit's runs.")
    alpha: float = param(32.0, symbol="α", gt=0, le=ceiling.RATIO, help="ΔW is P diag(e) Q times α / r.")
    orthogonal: float = param(
        0.5, ge=0, le=ceiling.WEIGHT, help="Weight of the distance of P and Q to orthonormal ones."
    )

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """Published numbers of steps; three layers in the middle."""
        return {**published(model, PUBLISHED), **super().usual(model)}

    def edit(self, round_: Round) -> RoundUpdate:
        """The adapter's change by the round's facts."""
        from core.editing.methods._adapters import adapted
        from core.editing.methods._lora_form import Triplets

        return adapted(round_, self, Triplets(self.rank, self.alpha, self.orthogonal))


METHOD = AdaLora
