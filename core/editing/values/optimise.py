"""Target values: the residual that, added at the subject, makes the model give the target.

All facts of a round are optimised in parallel, each separately: one δ, one loss (`objective`), one sequence of steps
(`adam` or `gauss_newton`) per fact, nothing averaged over facts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.editing.failure import EditFailure
from core.editing.lane.layer_method import GAUSS_NEWTON, LayerMethod
from core.editing.lane.results import Values
from core.editing.values.adam import Adam
from core.editing.values.gauss_newton import GaussNewton
from core.editing.values.objective import Evaluation, Objective, make_task
from core.facts.fact import Fact
from core.models.language_model import LanguageModel
from core.models.partial_forward import PartialForward


@runtime_checkable
class Steps(Protocol):
    """How δ moves. An optimiser keeps what it has to remember of each fact."""

    def next(
        self,
        objective: Objective,
        delta: Float[Tensor, "b d"],
        found: Evaluation,
        loss: Float[Tensor, " b"],
        active: Bool[Tensor, " b"],
    ) -> Float[Tensor, "b d"]:
        """Where to evaluate next, after `found` and `loss` at δ; facts that are not active keep their δ."""

    def chosen(
        self, delta: Float[Tensor, "b d"], loss: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, " b"]]:
        """The result: δ and its loss, given the last ones."""


@dataclass(frozen=True)
class Problem:
    """Which values are wanted: of `facts`, at the output of `layer`, on the model with its present weights."""

    lm: LanguageModel
    facts: Sequence[Fact]
    layer: int
    contexts: Sequence[str]  # texts before the prompts
    blocked: Float[Tensor, "d k"] | None = None  # orthonormal columns: δ stays orthogonal to them
    start: Float[Tensor, "d b"] | None = None  # h0, if not the output of `layer` at the subject of the bare prompt

    def allowed(self, rows: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """The part of a gradient or step that may be taken."""
        if self.blocked is None:
            return rows
        basis = self.blocked.to(rows.dtype)
        return rows - (rows @ basis) @ basis.T


def optimise_values(
    problem: Problem,
    config: LayerMethod,
    heartbeat: Callable[[], None] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    budget: int | None = None,
) -> Values:
    """Optimise δ of each fact.

    The loss is that of `Objective`. From δ = 0 on, `config.optimizer` takes the steps; after each one δ is projected to
    ‖δ‖ ≤ clamp · ‖h0‖; a fact stops when its loss is below `stop_loss`; the last of `steps` evaluations makes no step.
    `progress` is called with ("values", the step that begins, all of them); the last steps are not run if all facts
    stop early. `budget`: new tokens of a pass, by default what the model's memory allows. `problem.start` is for values
    z at the output of a part of the layer (its FFN) that is added to the layer's.
    """
    lm, facts, layer, start = problem.lm, problem.facts, problem.layer, problem.start
    task = make_task(lm, facts, problem.contexts, with_kl=config.kl > 0, eos=config.eos)
    forward = PartialForward(lm, task.rows, layer, budget, heartbeat)
    objective = Objective(forward, task, config.kl, config.weight_decay, None if start is None else start.T)
    steps = stepping(config, problem.allowed)
    delta = torch.zeros_like(objective.start)
    active = torch.ones(len(facts), dtype=torch.bool, device=lm.device)
    evaluations = torch.zeros(len(facts), dtype=torch.long, device=lm.device)
    final = first = torch.zeros(len(facts), **objective.kind)
    for step in range(config.steps):
        if heartbeat is not None:
            heartbeat()
        if progress is not None:
            progress("values", step + 1, config.steps)
        found = objective.evaluate(delta)
        loss = objective.loss(found, delta)
        bad = ~torch.isfinite(loss) & active
        if bool(bad.any()):
            fact = facts[int(bad.nonzero()[0])]
            raise EditFailure(
                f'The value of "{fact.text} {fact.target}" at layer {layer} became {float(loss[bad][0])} at step'
                f" {step}. Lower lr or clamp, or load the model in float32."
            )
        final = torch.where(active, loss, final)
        first = final if step == 0 else first
        evaluations += active
        if step == config.steps - 1:
            break
        active = active & ~(final < config.stop_loss)
        objective.leave(set((~active).nonzero()[:, 0].tolist()))
        if not bool(active.any()):
            break
        delta = steps.next(objective, delta, found, final, active)
    delta, final = steps.chosen(delta, final)
    begun, moved = objective.start.double().T.contiguous(), problem.allowed(delta.double()).T.contiguous()
    return Values(begun + moved, moved, begun, first.double().cpu(), final.double().cpu(), evaluations.cpu())


def stepping(config: LayerMethod, allowed: Callable[[Tensor], Tensor]) -> Steps:
    """The optimiser that the settings name."""
    if config.optimizer == GAUSS_NEWTON:
        return GaussNewton(config.clamp, config.stop_loss, allowed)
    return AdamSteps(Adam(config.lr, config.clamp, config.relative_lr, allowed))


class AdamSteps:
    """Adam on every fact's loss."""

    def __init__(self, adam: Adam):
        self.adam = adam

    def next(
        self,
        objective: Objective,
        delta: Float[Tensor, "b d"],
        found: Evaluation,
        loss: Float[Tensor, " b"],
        active: Bool[Tensor, " b"],
    ) -> Float[Tensor, "b d"]:
        """One step of Adam, and the projection to the ball around h0."""
        return self.adam.step(delta, objective.slope(found, delta), objective.radius, active)

    def chosen(
        self, delta: Float[Tensor, "b d"], loss: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, " b"]]:
        """The last δ."""
        return delta, loss
