"""The algorithm of MOSE's released code: orthogonal fine-tuning of a weight's inputs, which is not the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import Method, Round
from core.editing.lane.targets import eos_option
from core.editing.settings.defaults import LLAMA_2_13B, LLAMA_3, QWEN, Default, ModelInfo, Published, published
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate

CODE = "the code released with MOSE"
PUBLISHED = (
    Published(LLAMA_3, CODE, {"layers": (19, 20, 21)}),
    Published(LLAMA_2_13B, f"{CODE} (its Llama-2 is the paper's, of 13B)", {"layers": (19, 20, 21)}),
    Published(QWEN, CODE, {"layers": (4, 5, 6)}),
)


@dataclass(frozen=True, kw_only=True)
class MoseOft(Method):
    """W = W0 blockdiag(Q_1 … Q_g)ᵀ, Q = (I − S)(I + S)⁻¹ with S skew, trained by Adam on − log p of the targets.

    No Procrustes problem, no statistics, no target values and no choice of layers: `mose` is the paper's method. The
    training of Q continues from round to round; Q is computed from the weights when a round begins. The singular values
    of the blocks' products stay those of W0. The code caps the parameter's norm; its limit is not known, so nothing is
    capped unless `cap` is given.
    """

    title: ClassVar[str] = "MOSE (code)"
    paper: ClassVar[str] = "Multiplicative Orthogonal Sequential Editing (released code)"
    teacher_forced: ClassVar[bool] = True
    shuffle: ClassVar[bool] = False

    blocks: int = param(4, symbol="g", ge=1, le=ceiling.WIDTH, help="Blocks of Q; must divide the layer's input size.")
    steps: int = param(25, ge=1, le=ceiling.STEPS, help="Maximum number of passes over the round's facts.")
    lr: float = param(5e-4, gt=0, le=ceiling.RATIO, help="Adam's learning rate.")
    stop_loss: float = param(0.01, ge=0, le=ceiling.RATIO, help="Training ends when the mean loss is below this.")
    cap: float | None = param(None, gt=0, le=ceiling.RATIO, help="Maximum norm of S in each block; null: no limit.")
    batch: int = param(64, ge=1, le=ceiling.FACTS, help="Facts per step of Adam.")
    persistent: bool = param(True, help="Continue training one Q over rounds; otherwise each round uses a new one.")
    eos: bool = eos_option()

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """The released settings; for other models layers as deep as 19-21 of 32."""
        if row := published(model, PUBLISHED):
            return row
        last = min(max(round(model.n_layers * 21 / 32), 1), model.n_layers - 1)
        why = "No published setting for this model: layers at the same relative depth as 19-21 of 32."
        return {"layers": Default(tuple(range(max(last - 2, 0), last + 1)), why)}

    def edit(self, round_: Round) -> RoundUpdate:
        """All facts together."""
        from core.editing.methods._fine_tuning import fine_tuned
        from core.editing.methods._oft import orthogonally_tuned

        return fine_tuned(round_, lambda: orthogonally_tuned(round_, self))


METHOD = MoseOft
