"""MELO: blocks of low-rank factors that are on for prompts near the edited ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import STATES, Round
from core.editing.lane.targets import eos_option
from core.editing.methods._measured_radius import MeasuredRadius, contexts_option, length_option
from core.editing.settings.defaults import GPT2_XL, Default, ModelInfo
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate

CODE = "the MELO authors' configuration for gpt2-xl, which adapts the FFN's first matrices; here it is the second ones"


@dataclass(frozen=True, kw_only=True)
class Melo(MeasuredRadius):
    """Each few facts get a LoRA block B A of their own, which prompts near them switch on (Yu et al. 2024).

    No weight changes. The database reads the output of the first layer's down-projection at the last token of the
    prompt; the other layers have the blocks. Its clusters have a center, a radius and one target, compared token by
    token. A fact whose query q is farther from the nearest center than its radius + ε founds a cluster of radius ε; one
    with the cluster's target joins it (the center becomes the mean of its points, the radius reaches the farthest of
    them); one with another target founds a cluster too, both radii become half the distance, and points outside are
    forgotten. A prompt that is edited again loses its earlier point. Each block is trained by Adam, its step halved
    every `halve` steps, on − log p of its facts' targets. Released scores route by the last token that is read, which
    may be one of the answer; here the prompt alone decides, at its end, and the block acts from there on.
    """

    title: ClassVar[str] = "MELO"
    paper: ClassVar[str] = "Yu et al. 2024"
    changes: ClassVar[str] = STATES

    eps: float | None = param(
        0.5,
        symbol="ε",
        ge=0,
        le=ceiling.RATIO,
        help="The radius of a new cluster; null: between that of the same prompt after other texts (95 % of them"
        " within) and the distance to other subjects (5 % of them), measured on the lane's first round.",
    )
    rank: int = param(2, symbol="r", ge=1, le=ceiling.SAMPLED, help="The rank of a block.")
    per_block: int = param(4, ge=1, le=ceiling.FACTS, help="Facts of a block.")
    steps: int = param(50, ge=1, le=ceiling.STEPS, help="Steps of a block's training, at most.")
    lr: float = param(1e-3, gt=0, le=ceiling.RATIO, help="Adam's first step size.")
    halve: int = param(20, ge=1, le=ceiling.STEPS, help="Steps after which it is halved.")
    stop_loss: float = param(
        0.0, ge=0, le=ceiling.RATIO, help="A block is done when the mean loss of its facts is below this."
    )
    eos: bool = eos_option()
    contexts: int = contexts_option()
    context_length: int = length_option()

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """The authors' layers; for other models a database in the middle and blocks in the next two layers."""
        if GPT2_XL.fits(model):
            return {"layers": Default((35, 36, 37), f"From {CODE}.")}
        first = max(min(round(0.55 * model.n_layers), model.n_layers - 3), 0)
        layers = tuple(range(first, min(first + 3, model.n_layers)))
        unscaled = "The authors multiply both factors by the root of the number of blocks; here nothing does."
        return {
            "layers": Default(layers, "No published setting for this model: past the middle of its depth."),
            "eps": Default(
                None,
                "No published setting for this model: states of another scale make an absolute number meaningless. It"
                " is measured on the facts of the lane's first round.",
            ),
            "rank": Default(4, unscaled),
            "lr": Default(1e-2, unscaled),
            "stop_loss": Default(0.02, "Most facts are learnt long before the last step."),
        }

    def edit(self, round_: Round) -> RoundUpdate:
        """Blocks for the round's facts, and their places in the database."""
        from core.editing.methods._blocks import edited

        return edited(round_, self)


METHOD = Melo
