"""MEND: a trained network turns the gradient of an edit's loss into an update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import Round
from core.editing.methods._learning import LearningMethod
from core.editing.settings.defaults import GPT2_XL, GPT_J, LLAMA_2, LLAMA_3, Default, ModelInfo, Published, published
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate
    from core.editing.lane.session import EditSession
    from core.editing.training.loop import Learner

CODE = "EasyEdit's configuration of MEND, which edits up-projections of these layers too"
NETWORK = {"rank": 1920}
PUBLISHED = (
    Published(GPT2_XL, CODE, {**NETWORK, "layers": (45, 46, 47)}),
    Published(GPT_J, CODE, {**NETWORK, "layers": (25, 26, 27)}),
    Published(LLAMA_2, CODE, {**NETWORK, "layers": (29, 30, 31)}),
    Published(LLAMA_3, CODE, {**NETWORK, "layers": (29, 30, 31)}),
)


@dataclass(frozen=True, kw_only=True)
class Mend(LearningMethod):
    """ΔW = − a Σ δ̃ x̃ᵀ over the tokens of a fact (Mitchell et al. 2022).

    x are a down-projection's inputs and δ the gradients of the mean − log p of the target's tokens in its outputs; a
    network makes (x̃, δ̃) of both, standardised by the mean and deviation seen in training: twice h + max(0, s (U V h +
    c) + o), with U, V, c shared by the layers and a, s, o of each. It begins as the identity (U = c = o = 0, s = 1), a
    step along the gradient. It learns once per model, on facts of the model's own world about subjects that no run
    edits (the pocket world's; for other models everyday facts), each on the unedited model: `edit_weight` (− log p of
    the new object after another prompt) + KL(before ‖ after) at the answer of a question about another subject. The
    facts of a round are edited one after the other. The network has seen the unedited model alone: on a model that
    many edits have changed it is a stranger, and the literature finds collapse after about ten. The released code adds
    + a times the gradient and learns a with its sign; here it is minus, and log a is learnt.
    """

    title: ClassVar[str] = "MEND"
    paper: ClassVar[str] = "Mitchell et al. 2022"

    rank: int = param(128, symbol="r", ge=1, le=ceiling.SAMPLED, help="The rank of U V.")
    edit_lr: float = param(1e-4, symbol="a", ge=0, le=ceiling.RATIO, help="The edit's step before it is learnt.")
    normalize: bool = param(True, help="Standardise x and δ; else the network reads them as they are.")
    lr: float = param(1e-4, gt=0, le=ceiling.RATIO, help="Adam's step size. For large models 1e-6 is published.")
    steps: int = param(600, ge=1, le=ceiling.STEPS, help="Steps of the training, once per model.")
    batch: int = param(5, ge=1, le=ceiling.FACTS, help="Facts a step, each edited by itself.")
    taught: int = param(600, ge=4, le=ceiling.FACTS, help="Facts that are learnt from, at most.")
    edit_weight: float = param(0.1, ge=0, le=ceiling.RATIO, help="Weight of the edit's loss; that of the KL is 1.")

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """The published layers; for other models the last three."""
        if row := published(model, PUBLISHED):
            return row
        layers = tuple(range(max(model.n_layers - 3, 0), model.n_layers))
        small = "Not published for a model of this size, whose network is smaller and may learn faster."
        return {
            "layers": Default(layers, "The last three, as EasyEdit has them for other models."),
            "lr": Default(1e-3, small),
        }

    def learner(self, session: EditSession) -> Learner:
        """MEND's network."""
        from core.editing.methods._hypernet import Hypernet

        return Hypernet(session, self)

    def edit(self, round_: Round) -> RoundUpdate:
        """The round's facts, one after the other."""
        from core.editing.methods._hypernet import edited

        return edited(round_, self, self.prepare(round_.session, round_.heartbeat))


METHOD = Mend
