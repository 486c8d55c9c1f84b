"""GRACE: a codebook of keys and values at one layer; outputs near a key are replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import STATES, Round
from core.editing.lane.targets import eos_option
from core.editing.methods._measured_radius import MeasuredRadius, contexts_option, length_option
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

CODE = "EasyEdit's configuration of GRACE"
PUBLISHED = (
    Published(GPT_J, CODE, {"layers": (25,), "steps": 200}),
    Published(LLAMA_2, CODE, {"layers": (27,), "steps": 50}),
    Published(LLAMA_3, CODE, {"layers": (27,), "steps": 50}),
    Published(MISTRAL, CODE, {"layers": (27,), "steps": 50}),
    Published(QWEN, CODE, {"layers": (18,), "steps": 50}),
)
XL = f"From {CODE} for gpt2-xl, which replaces the output of the FFN's first matrix; here it is that of the second."
UNKNOWN = "No published setting for this model: states of another scale make an absolute number meaningless."


@dataclass(frozen=True, kw_only=True)
class Grace(MeasuredRadius):
    """One down-projection's output at the end of the prompt is replaced near a stored key (Hartvigsen et al. 2023).

    No weight changes. A fact's query q is the down-projection's input at the last token of its prompt. With the nearest
    key at distance m and its radius r: m > r + ε adds an entry (q, v, ε). Within that, a key of the same target is
    kept, its radius becoming m if m > r; a key of another target stays with radius min(r, m/2), and an entry
    (q, v, m/2) is added. A prompt that is edited again overwrites the value of its entry. v then minimises − log p of
    the target's tokens by Adam, with v in the place of the output. Targets are compared token by token. All facts of a
    round are placed first and trained together, each entry by its own steps. At a prompt's end the output becomes v if
    the nearest key is not farther than its radius: one decision, from the prompt alone. The codebook grows by
    d_in + d_out + 1 numbers an entry.
    """

    title: ClassVar[str] = "GRACE"
    paper: ClassVar[str] = "Hartvigsen et al. 2023"
    changes: ClassVar[str] = STATES

    eps: float | None = param(
        1.0,
        symbol="ε",
        ge=0,
        le=ceiling.RATIO,
        help="The radius of a new entry; null: between that of the same prompt after other texts (95 % of them within)"
        " and the distance to other subjects (5 % of them), measured on the lane's first round.",
    )
    steps: int = param(100, ge=1, le=ceiling.STEPS, help="Evaluations of the loss of a value, at most.")
    lr: float = param(1.0, gt=0, le=ceiling.RATIO, help="Adam's step size for values.")
    relative_lr: bool = param(False, help="Scale it by the output that is replaced: lr · ‖v0‖ / √d instead of lr.")
    warm: bool = param(False, help="Values begin as the output that they replace; else uniformly in [0, 1).")
    stop_loss: float = param(0.05, ge=0, le=ceiling.RATIO, help="A value is done when its loss is below this.")
    eos: bool = eos_option()
    contexts: int = contexts_option()
    context_length: int = length_option()

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """EasyEdit's layer and steps; for other models a layer at three quarters of the depth and relative numbers."""
        if row := published(model, PUBLISHED):
            return row
        if GPT2_XL.fits(model):
            return {"layers": Default((35,), XL), "steps": Default(200, f"From {CODE} for gpt2-xl.")}
        layer = min(round(0.75 * model.n_layers), max(model.n_layers - 2, 0))
        return {
            "layers": Default((layer,), "No published setting for this model: at three quarters of its depth."),
            "eps": Default(None, f"{UNKNOWN} It is measured on the facts of the lane's first round."),
            "steps": Default(50, "As EasyEdit for models with published settings."),
            "lr": Default(RELATIVE, f"{UNKNOWN} A step is this share of the output's size.", "relative_lr"),
            "relative_lr": Default(True, f"{UNKNOWN} Steps are relative to the output that is replaced.", "lr"),
            "warm": Default(True, "A value that begins as the output reaches its target without a detour."),
        }

    def edit(self, round_: Round) -> RoundUpdate:
        """Entries for the round's facts, then their values."""
        from core.editing.methods._codebook import edited

        return edited(round_, self)


RELATIVE = 0.3
METHOD = Grace
