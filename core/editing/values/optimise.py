"""Target values: the residual that, added at the subject, makes the model give the target.

All facts of a round are optimised in parallel, each separately: one δ, one loss, one Adam per fact, nothing averaged
over facts. Passes are partial (`core.models.partial_forward`): only layers above the edited one, tokens from the
subject on, and facts that are not done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from core.editing.failure import EditFailure
from core.editing.lane.contexts import prefixes
from core.editing.lane.layer_method import LayerMethod
from core.editing.lane.results import Values
from core.editing.values.adam import Adam
from core.facts.fact import Fact
from core.models.language_model import LanguageModel
from core.models.partial_forward import PartialForward, Row, RowBatch
from core.models.tokens import answer_ids

STUB = "{} is a"
STALE = 0.1  # rows of facts that are done are dropped when they are this share of a batch


@dataclass(frozen=True)
class Task:
    """Rows of the optimisation: answer rows in each context, then one row per fact for the KL. `targets[i]` are the
    ids wanted after row i's reads; empty for a KL row."""

    rows: list[Row]
    targets: list[list[int]]
    bare: list[int]  # the index of each fact's row without context
    contexts: int


def optimise_values(
    lm: LanguageModel,
    facts: Sequence[Fact],
    layer: int,
    config: LayerMethod,
    contexts: Sequence[str],
    heartbeat: Callable[[], None] | None = None,
    budget: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    blocked: Float[Tensor, "d k"] | None = None,
    start: Float[Tensor, "d b"] | None = None,
) -> Values:
    """Optimise δ of each fact at the output of `layer`, on the model with its present weights.

    loss = NLL + κ KL + w ‖δ‖ / ‖h0‖²: NLL is the mean over contexts of the mean over target tokens of −log p; KL is
    KL(edited ‖ original) of the next-token distribution at the subject in "{subject} is a". Adam from δ = 0; after each
    step δ is projected to ‖δ‖ ≤ clamp · ‖h0‖; a fact stops when its loss is below `stop_loss`; the last of `steps`
    evaluations makes no step. `progress` is called with ("values", the step that begins, all of them); the last steps
    are not run if all facts stop early. With `blocked`, orthonormal columns, δ stays orthogonal to them: its gradient
    and every step are projected. h0 is the output of `layer` at the subject of the bare prompt; or `start`, if z is the
    output of a part of the layer (its FFN) that is added to the layer's.
    """
    task = make_task(lm, facts, contexts, with_kl=config.kl > 0)
    forward = PartialForward(lm, task.rows, layer, budget, heartbeat)
    descent = Descent(lm, forward, task, config, len(facts), blocked, start)
    for step in range(config.steps):
        if heartbeat is not None:
            heartbeat()
        if progress is not None:
            progress("values", step + 1, config.steps)
        loss, slope = descent.evaluate()
        bad = ~torch.isfinite(loss) & descent.active
        if bool(bad.any()):
            fact = facts[int(bad.nonzero()[0])]
            raise EditFailure(
                f'The value of "{fact.text} {fact.target}" at layer {layer} became {float(loss[bad][0])} at step'
                f" {step}. Lower lr or clamp, or load the model in float32."
            )
        if step == config.steps - 1 or not descent.stop(loss < config.stop_loss):
            break
        descent.step(slope)
    return descent.values()


class Descent:
    """Adam on every fact's δ at once. Rows are facts here: [b, d]."""

    def __init__(
        self,
        lm: LanguageModel,
        forward: PartialForward,
        task: Task,
        config: LayerMethod,
        count: int,
        blocked: Float[Tensor, "d k"] | None = None,
        start: Float[Tensor, "d b"] | None = None,
    ):
        self.forward, self.task, self.config, self.blocked = forward, task, config, blocked
        kind: dict[str, Any] = {"dtype": lm.master_dtype, "device": lm.device}
        self.start = (starts(forward, task, count) if start is None else start.T).to(**kind)
        self.delta = torch.zeros(count, lm.d_model, **kind)
        self.radius = self.start.norm(dim=1, keepdim=True)
        self.adam = Adam(config.lr, config.clamp, config.relative_lr, self.allowed)
        self.active = torch.ones(count, dtype=torch.bool, device=lm.device)
        self.gone: set[int] = set()
        self.first = torch.zeros(count, **kind)
        self.loss = torch.zeros(count, **kind)
        self.evaluations = torch.zeros(count, dtype=torch.long, device=lm.device)
        self.clean: dict[int, Tensor] = {}  # by fact: log-probabilities of the unchanged model in the KL row
        self.plans: dict[int, Plan] = {}

    def evaluate(self) -> tuple[Float[Tensor, " b"], Float[Tensor, "b d"]]:
        """(loss of each fact, its gradient in δ); facts that are done keep their last loss and get no gradient."""
        config = self.config
        loss = torch.zeros_like(self.loss)
        slope = torch.zeros_like(self.delta)
        for batch in self.forward.batches:
            self.forward.beat()
            delta = self.delta.detach().requires_grad_()
            with torch.enable_grad():
                parts = self.batch_loss(batch, delta)
                (part_slope,) = torch.autograd.grad(parts.sum(), delta)
            loss += parts.detach()
            slope += part_slope
        size = self.delta.norm(dim=1, keepdim=True)
        loss += config.weight_decay * (size / self.radius**2)[:, 0]
        slope += config.weight_decay * self.delta / size.clamp(min=torch.finfo(size.dtype).tiny) / self.radius**2
        self.loss = torch.where(self.active, loss, self.loss)
        if self.adam.taken == 0:
            self.first = self.loss.clone()
        self.evaluations += self.active
        return self.loss, slope

    def batch_loss(self, batch: RowBatch, delta: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """A batch's part of each fact's NLL + κ KL."""
        plan = self.plans.get(id(batch)) or self.plans.setdefault(id(batch), Plan(batch, self.task))
        logits = self.forward.logits(batch, delta)
        loss = delta.new_zeros(delta.shape[0])
        if len(plan.answers):
            nll = F.cross_entropy(logits[plan.answers], plan.wanted, reduction="none")
            loss = loss.index_add(0, plan.answer_owners, nll * plan.share.to(nll.dtype))
        if len(plan.stubs):
            log_p = logits[plan.stubs].log_softmax(1)
            owners = plan.stub_owners.tolist()
            if owners[0] not in self.clean:  # the first evaluation is at δ = 0
                self.clean.update(zip(owners, log_p.detach(), strict=True))
            clean = torch.stack([self.clean[owner] for owner in owners])
            kl = F.kl_div(clean, log_p, reduction="none", log_target=True).sum(1)
            loss = loss.index_add(0, plan.stub_owners, self.config.kl * kl)
        return loss

    def stop(self, done: Tensor) -> bool:
        """Stop updating facts that are done; returns whether any is left."""
        self.active &= ~done
        finished = set((~self.active).nonzero()[:, 0].tolist())
        if finished - self.gone and self.worth_dropping(finished):
            self.forward.drop(finished)
            self.gone, self.plans = finished, {}
        return bool(self.active.any())

    def worth_dropping(self, finished: set[int]) -> bool:
        """Whether enough rows are idle to pay for copying the others together."""
        rows = sum(len(batch.rows) for batch in self.forward.batches)
        idle = sum(owner in finished for batch in self.forward.batches for owner in batch.owners.tolist())
        return idle > STALE * rows

    def step(self, slope: Float[Tensor, "b d"]) -> None:
        """One step of Adam for the facts that are not done, and the projection to the ball around h0."""
        self.delta = self.adam.step(self.delta, slope, self.radius, self.active)

    def allowed(self, rows: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """The rows without their parts along the blocked directions."""
        if self.blocked is None:
            return rows
        blocked = self.blocked.to(rows.dtype)
        return rows - (rows @ blocked) @ blocked.T

    def values(self) -> Values:
        """The target values, in float64, facts as columns."""
        start, delta = self.start.double().T.contiguous(), self.allowed(self.delta.double()).T.contiguous()
        return Values(
            start + delta, delta, start, self.first.double().cpu(), self.loss.double().cpu(), self.evaluations.cpu()
        )


class Plan:
    """Which of a batch's reads are answers (with their target ids) and which belong to KL rows."""

    def __init__(self, batch: RowBatch, task: Task):
        device = batch.ids.device
        owners = batch.owners.tolist()
        answers, wanted, share, answer_owners, stubs, stub_owners = [], [], [], [], [], []
        seen: dict[int, int] = {}
        for read, row in enumerate(batch.read_rows.tolist()):
            target = task.targets[batch.rows[row]]
            if not target:
                stubs.append(read)
                stub_owners.append(owners[row])
                continue
            place = seen.get(row, 0)
            seen[row] = place + 1
            answers.append(read)
            wanted.append(target[place])
            share.append(1 / (len(target) * task.contexts))
            answer_owners.append(owners[row])
        whole: dict[str, Any] = {"dtype": torch.long, "device": device}
        self.answers = torch.tensor(answers, **whole)
        self.wanted = torch.tensor(wanted, **whole)
        self.answer_owners = torch.tensor(answer_owners, **whole)
        self.share = torch.tensor(share, dtype=torch.float64, device=device)
        self.stubs = torch.tensor(stubs, **whole)
        self.stub_owners = torch.tensor(stub_owners, **whole)


def make_task(lm: LanguageModel, facts: Sequence[Fact], contexts: Sequence[str], with_kl: bool) -> Task:
    """The rows of the value optimisation."""
    rows: list[Row] = []
    targets: list[list[int]] = []
    bare = []
    before = prefixes(contexts)
    for owner, fact in enumerate(facts):
        bare.append(len(rows))
        for prefix in before:
            text, cut = lm.slot_last(fact.prompt, fact.subject, prefix)
            ids, answer = lm.encode(text), answer_ids(lm.tokenizer, text, fact.target)
            reads = tuple(range(len(ids) - 1, len(ids) + len(answer) - 1))
            rows.append(Row((*ids, *answer[:-1]), cut, owner, reads))
            targets.append(answer)
    for owner, fact in enumerate(facts if with_kl else ()):
        text, cut = lm.slot_last(STUB, fact.subject)
        rows.append(Row(tuple(lm.encode(text)[: cut + 1]), cut, owner, (cut,)))
        targets.append([])
    return Task(rows, targets, bare, len(before))


def starts(forward: PartialForward, task: Task, count: int) -> Float[Tensor, "b d"]:
    """h0 of each fact: the clean state at the subject of its bare prompt."""
    owner_of = {row: owner for owner, row in enumerate(task.bare)}
    hidden = forward.batches[0].hidden.new_zeros(count, forward.batches[0].hidden.shape[-1])
    for batch in forward.batches:
        for r, row in enumerate(batch.rows):
            if row in owner_of:
                hidden[owner_of[row]] = batch.hidden[r, 0]
    return hidden
