"""UltraEdit: one gradient for all facts of a round, standardised by all that the lane has seen, and one solve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import Method, Round
from core.editing.lane.targets import eos_option
from core.editing.settings.defaults import GPT_J, MISTRAL, Default, ModelInfo, Published, is_pocket, published
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate

CODE = "the UltraEdit authors' configuration"
AS_PUBLISHED = {"eta": 1e-6, "ridge": 1.0}
PUBLISHED = (  # for Llama-3 and Qwen2.5 the authors edit gate- and up-projections
    Published(MISTRAL, CODE, {"layers": (29, 30), **AS_PUBLISHED}),
    Published(GPT_J, CODE, {"layers": tuple(range(18, 27)), **AS_PUBLISHED}),
)
MEASURED = {
    "eta": Default(
        None,
        "Not published for down-projections of this model: as measured. The published 1e-6 asks the outputs of a 7B"
        " model to move by about one; how much that is depends on how long this model's outputs are.",
    ),
    "ridge": Default(
        None,
        "Not published for down-projections of this model: as measured. The published 1 is large or small beside a"
        " key, as the model has them.",
    ),
}

POCKET = {
    "layers": Default(
        (6, 7),
        "Tried with 50 facts (seed 101): with layers 5-6 .38 of them are exact, with 4-5 .06, with the last two .82.",
    ),
    "step": Default(
        2.0, "Tried with 50 facts (seed 101): .82 are exact and .86 of the neighbors stay; at 3 .98 and .49."
    ),
}


@dataclass(frozen=True, kw_only=True)
class UltraEdit(Method):
    """ΔW = U Kᵀ (K Kᵀ + a I)⁻¹ with u = − η ‖k̂‖² ĝ (Gu et al. 2025, as in their released code).

    k are the inputs of a down-projection at the tokens that predict the answers, g the gradients of the answers' loss
    in its outputs; k̂ and ĝ are standardised by the mean and variance of all tokens that the lane has edited, this
    round's included. The statistics are part of the lane: they are in the ledger, and resumed, undone and branched
    lanes go on from theirs. K itself is not standardised. All layers move at once, and nothing is optimised: no
    subject, no target value, no statistics of texts. The solve is of size n x n, n the round's answer tokens, as long
    as a layer has more inputs. Each layer has statistics of its own, or with `pooled` all share them, as in the
    authors' code. With one token there is no variance, and nothing is edited.
    """

    title: ClassVar[str] = "UltraEdit"
    paper: ClassVar[str] = "arXiv 2505.14679"

    eta: float | None = param(
        1e-6, symbol="η", gt=0, le=ceiling.RATIO, help="The step; null: as measured, so that `step` is what it says."
    )
    step: float = param(
        1.0,
        symbol="c",
        gt=0,
        le=ceiling.RATIO,
        help="If η is measured: how far each output should move, as a share of the median ‖W k‖ of the first round.",
    )
    ridge: float | None = param(
        1.0, symbol="a", gt=0, le=ceiling.WEIGHT, help="Weight of ‖ΔW‖²; null: as measured, `share` of a key's square."
    )
    share: float = param(
        0.1, gt=0, le=ceiling.RATIO, help="If a is measured: its share of the median ‖k‖² of the first round."
    )
    pooled: bool = param(False, help="One mean and variance for all layers, as in the authors' code.")
    eos: bool = eos_option()

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """The published settings; for other models measured ones, and layers in the middle of the depth."""
        if row := published(model, PUBLISHED):
            return row
        if is_pocket(model):
            return {**POCKET, **MEASURED}
        first = model.n_layers // 2
        last = max(first, min(round(model.n_layers * 5 / 6), model.n_layers - 1))
        why = f"No published setting for this model: of {model.n_layers}, those from half to five sixths of the depth."
        return {"layers": Default(tuple(range(first, last + 1)), why), **MEASURED}

    def idle(self) -> dict[str, str]:
        """The scale of what is given instead of measured."""
        given = {"step": ("eta", self.eta), "share": ("ridge", self.ridge)}
        return {name: f"{other} is given" for name, (other, value) in given.items() if value is not None}

    def edit(self, round_: Round) -> RoundUpdate:
        """All facts together."""
        from core.editing.methods._gradients import solved_once

        return solved_once(round_, self)


METHOD = UltraEdit
