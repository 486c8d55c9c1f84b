"""LoRA: one low-rank adapter, trained on fact after fact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import Method, Round
from core.editing.lane.targets import eos_option
from core.editing.settings.defaults import Default, ModelInfo
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate


@dataclass(frozen=True, kw_only=True)
class Lora(Method):
    """ΔW = (α / r) B A of each down-projection, B = 0 at first, trained by Adam on − log p of the targets' tokens.

    As in EasyEdit one adapter goes on through all rounds, with new moments in each, for a fixed number of steps unless
    `stop_loss` is set. EasyEdit adapts the queries and values of attention, with dropout; here it is the
    down-projections, as in the lab's other methods, and none. There is no router: the adapter is always on, and later
    facts overwrite earlier ones. The ledger has the change of B A in each round, of rank 2 r at most, so that guards,
    spectra and exports are those of any update.
    """

    title: ClassVar[str] = "LoRA"
    paper: ClassVar[str] = "Hu et al. 2021; EasyEdit's configuration"
    teacher_forced: ClassVar[bool] = True

    rank: int = param(8, symbol="r", ge=1, le=ceiling.SAMPLED, help="The rank of ΔW.")
    alpha: float = param(8.0, symbol="α", gt=0, le=ceiling.RATIO, help="ΔW is B A times α / r.")
    steps: int = param(70, ge=1, le=ceiling.STEPS, help="Passes over the round's facts.")
    lr: float = param(5e-3, gt=0, le=ceiling.RATIO, help="Adam's step size.")
    stop_loss: float = param(0.0, ge=0, le=ceiling.RATIO, help="Training ends when the mean loss is below this.")
    batch: int = param(100, ge=1, le=ceiling.FACTS, help="Facts per step of Adam.")
    shuffle: bool = param(False, help="New batches in every pass, drawn by the run's seed; else those of the order.")
    eos: bool = eos_option()

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """Three layers in the middle."""
        first = max(0, min(round(0.4 * model.n_layers), model.n_layers - 3))
        layers = tuple(range(first, min(first + 3, model.n_layers)))
        return {"layers": Default(layers, "EasyEdit adapts attention in all layers; here three in the middle.")}

    def edit(self, round_: Round) -> RoundUpdate:
        """The adapter's change by the round's facts."""
        from core.editing.methods._adapters import adapted
        from core.editing.methods._lora_form import Product

        return adapted(round_, self, Product(self.rank, self.alpha))


METHOD = Lora
