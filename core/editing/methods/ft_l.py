"""FT-L: fine-tuning of one FFN matrix, the field's usual baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import Method, Round
from core.editing.settings.defaults import (
    GPT2_XL,
    GPT_J,
    LLAMA_2,
    LLAMA_3,
    MISTRAL,
    QWEN,
    Default,
    ModelInfo,
    Published,
    published,
)
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate

ROME_CODE = "the ROME authors' configuration of FT+L"
EASY_EDIT = "EasyEdit's configuration of FT-L"
PUBLISHED = (
    Published(GPT2_XL, ROME_CODE, {"layers": (0,), "lr": 5e-4, "bound": 5e-4}),
    Published(GPT_J, ROME_CODE, {"layers": (0,), "lr": 5e-4, "bound": 5e-5}),
    Published(LLAMA_2, EASY_EDIT, {"layers": (21,), "lr": 5e-4, "bound": None}),
    Published(LLAMA_3, EASY_EDIT, {"layers": (21,), "lr": 5e-4, "bound": None}),
    Published(MISTRAL, EASY_EDIT, {"layers": (21,), "lr": 5e-4, "bound": 5e-5}),
    Published(QWEN, EASY_EDIT, {"layers": (27,), "lr": 5e-4, "bound": None}),
)


@dataclass(frozen=True, kw_only=True)
class FtL(Method):
    """Adam on the down-projections of `layers`, − log p of the targets (Zhu et al. 2020, as in Meng et al. 2022).

    Every target token is predicted from the one distribution after the prompt, as in the code behind published numbers:
    each token of a longer answer becomes likely as the first one. `ft_m` predicts them in order. Biases are not
    trained. The update is as large as the matrix; the ledger stores all of it.
    """

    title: ClassVar[str] = "FT-L"
    paper: ClassVar[str] = "arXiv 2012.00363"
    teacher_forced: ClassVar[bool] = False
    shuffle: ClassVar[bool] = False
    eos: ClassVar[bool] = False

    steps: int = param(25, ge=1, le=ceiling.STEPS, help="Maximum number of passes over the round's facts.")
    lr: float = param(5e-4, gt=0, le=ceiling.RATIO, help="Adam's learning rate.")
    stop_loss: float = param(0.01, ge=0, le=ceiling.RATIO, help="Training ends when the mean loss is below this.")
    bound: float | None = param(
        None, symbol="ε", gt=0, le=ceiling.RATIO, help="Maximum change of an entry per round; null: no limit."
    )
    batch: int = param(64, ge=1, le=ceiling.FACTS, help="Facts per step of Adam.")

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """The published settings; for other models a layer as deep as 21 of 32."""
        if row := published(model, PUBLISHED):
            return row
        layer = min(round(model.n_layers * 21 / 32), model.n_layers - 1)
        why = "No published setting for this model: the layer at the same relative depth as 21 of 32."
        return {"layers": Default((layer,), why)}

    def edit(self, round_: Round) -> RoundUpdate:
        """All facts together."""
        from core.editing.methods._fine_tuning import fine_tuned, trained

        return fine_tuned(round_, lambda: trained(round_, self))


METHOD = FtL
