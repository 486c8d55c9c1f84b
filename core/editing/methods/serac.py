"""SERAC: edits are kept beside the model; a trained classifier and a second model use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core import ceiling
from core.editing.lane.method import PROMPT, Round
from core.editing.methods._learning import LearningMethod
from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.editing.lane.results import RoundUpdate
    from core.editing.lane.session import EditSession
    from core.editing.training.loop import Learner


@dataclass(frozen=True, kw_only=True)
class Serac(LearningMethod):
    """A scope classifier and a counterfactual model, trained once per model (Mitchell et al. 2022). An edit trains
    nothing: it is added to a list.

    No weight changes. A prompt in the scope of an edit, p > `threshold`, is answered by the counterfactual model, which
    reads the edit's sentence before the prompt; any other by the base model. p = exp(− ‖e(x) − e(z)‖²) with z the
    edit's prompt and e a linear map of the unedited model's mean states to `size` numbers. The counterfactual model is
    the base model with an adapter of all down-projections, on from the end of the prompt. Both learn
    from facts of the model's own world about subjects that no run edits (the pocket world's; for other models everyday
    facts), half of them with another object: the classifier by a balanced cross-entropy between prompts of a fact and
    questions about others, the adapter by − log p of the object after the fact's sentence. The authors use a BERT and a
    separate small model, which read whole texts. Training is done before the run's first round, can be stopped and goes
    on, and is kept for later runs.
    """

    title: ClassVar[str] = "SERAC"
    paper: ClassVar[str] = "Mitchell et al. 2022"
    changes: ClassVar[str] = PROMPT
    layers: ClassVar[tuple[int, ...]] = ()  # type: ignore[misc]  # its adapter has places of its own

    threshold: float = param(0.5, ge=0, le=1, help="The p from which a prompt is in the scope of an edit.")
    size: int = param(128, ge=1, le=ceiling.SAMPLED, help="Numbers of e(x).")
    rank: int = param(16, symbol="r", ge=1, le=ceiling.SAMPLED, help="The adapter's rank.")
    lr: float = param(3e-3, gt=0, le=ceiling.RATIO, help="Adam's step size. The authors train larger parts by 1e-5.")
    steps: int = param(600, ge=1, le=ceiling.STEPS, help="Steps of the training, once per model.")
    batch: int = param(8, ge=1, le=ceiling.FACTS, help="Facts a step.")
    taught: int = param(600, ge=4, le=ceiling.FACTS, help="Facts that are learnt from, at most.")

    def learner(self, session: EditSession) -> Learner:
        """The classifier and the adapter."""
        from core.editing.methods._scope import ScopeLearner

        return ScopeLearner(session, self)

    def edit(self, round_: Round) -> RoundUpdate:
        """The round's facts, added to the list."""
        from core.editing.methods._scope import listed_edits

        return listed_edits(round_, self.prepare(round_.session, round_.heartbeat), self.threshold)


METHOD = Serac
