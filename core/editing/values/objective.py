"""The loss of target values: what a residual δ at the subject is measured by, and its gradient, for many facts at once.

Passes are partial (`core.models.partial_forward`): only layers above the edited one, tokens from the subject on, and
facts that are not done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from core.editing.lane.contexts import prefixes
from core.editing.lane.targets import target_ids
from core.facts.fact import Fact
from core.models.language_model import LanguageModel
from core.models.packing import Row, RowBatch
from core.models.partial_forward import PartialForward

STUB = "{} is a"
STALE = 0.1  # rows of facts that are done are dropped when they are this share of all


@dataclass(frozen=True)
class Task:
    """Rows of the optimisation: answer rows in each context, then one row per fact for the KL. `targets[i]` are the
    ids wanted after row i's reads; empty for a KL row. `parts[i]` is which of its fact's parts row i is: the number of
    its context, or `contexts` for the KL."""

    rows: list[Row]
    targets: list[list[int]]
    parts: list[int]
    bare: list[int]  # the index of each fact's row without context
    contexts: int


def make_task(
    lm: LanguageModel, facts: Sequence[Fact], contexts: Sequence[str], with_kl: bool, eos: bool = False
) -> Task:
    """The rows of the value optimisation; with `eos` the end of the text is one more target token."""
    rows: list[Row] = []
    targets: list[list[int]] = []
    parts: list[int] = []
    bare = []
    before = prefixes(contexts)
    for owner, fact in enumerate(facts):
        bare.append(len(rows))
        for number, prefix in enumerate(before):
            text, cut = lm.slot_last(fact.prompt, fact.subject, prefix)
            ids, answer = lm.encode(text), target_ids(lm, text, fact.target, eos)
            reads = tuple(range(len(ids) - 1, len(ids) + len(answer) - 1))
            rows.append(Row((*ids, *answer[:-1]), cut, owner, reads))
            targets.append(answer)
            parts.append(number)
    for owner, fact in enumerate(facts if with_kl else ()):
        text, cut = lm.slot_last(STUB, fact.subject)
        rows.append(Row(tuple(lm.encode(text)[: cut + 1]), cut, owner, (cut,)))
        targets.append([])
        parts.append(len(before))
    return Task(rows, targets, parts, bare, len(before))


@dataclass(frozen=True)
class Evaluation:
    """The parts of each fact's loss, and their gradients in δ: its share of the NLL from each context, then κ KL (zeros
    without one)."""

    parts: Float[Tensor, "b contexts_and_kl"]
    slopes: Float[Tensor, "b contexts_and_kl d"]


class Objective:
    """loss = NLL + κ KL + w ‖δ‖ / ‖h0‖²: NLL is the mean over contexts of the mean over target tokens of −log p; KL is
    KL(edited ‖ original) of the next-token distribution at the subject in "{subject} is a". `start` is h0; by default
    the output of the forward's layer at the subject of the bare prompt."""

    def __init__(
        self,
        forward: PartialForward,
        task: Task,
        kl: float,
        weight_decay: float,
        start: Float[Tensor, "b d"] | None = None,
    ):
        lm = forward.lm
        self.forward, self.task, self.weight, self.decay = forward, task, kl, weight_decay
        self.kind: dict[str, Any] = {"dtype": lm.master_dtype, "device": lm.device}
        self.start = (self._starts() if start is None else start).to(**self.kind)
        self.radius = self.start.norm(dim=1, keepdim=True)
        self.gone: set[int] = set()
        self.clean: dict[int, Tensor] = {}  # by fact: log-probabilities of the unchanged model in the KL row
        self.plans: dict[int, Plan] = {}

    def evaluate(self, delta: Float[Tensor, "b d"]) -> Evaluation:
        """All parts at δ. The first evaluation has to be at δ = 0; facts that were dropped have zeros."""
        count, width = len(delta), self.task.contexts + 1
        parts = torch.zeros(count, width, **self.kind)
        slopes = torch.zeros(count, width, delta.shape[1], **self.kind)
        for batch in self.forward.batches:
            self.forward.beat()
            plan = self.plans.get(id(batch)) or self.plans.setdefault(id(batch), Plan(batch, self.task))
            change = delta[batch.owners].detach().requires_grad_()
            with torch.enable_grad():
                each = self._rows(batch, plan, change)
                (slope,) = torch.autograd.grad(each.sum(), change)
            parts[batch.owners, plan.parts] = each.detach()
            slopes[batch.owners, plan.parts] = slope
        return Evaluation(parts, slopes)

    def loss(self, found: Evaluation, delta: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """Each fact's loss."""
        size = delta.norm(dim=1, keepdim=True)
        return found.parts.sum(1) + self.decay * (size / self.radius**2)[:, 0]

    def slope(self, found: Evaluation, delta: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        """Its gradient in δ."""
        size = delta.norm(dim=1, keepdim=True)
        shrinking = delta / size.clamp(min=torch.finfo(size.dtype).tiny) / self.radius**2
        return found.slopes.sum(1) + self.decay * shrinking

    def leave(self, finished: set[int]) -> None:
        """Drop the rows of facts that are done, once there are enough of them to pay for copying the others
        together."""
        if not finished - self.gone:
            return
        owners = [owner for batch in self.forward.batches for owner in batch.owners.tolist()]
        if sum(owner in finished for owner in owners) > STALE * len(owners):
            self.forward.drop(finished)
            self.gone, self.plans = finished, {}

    def _rows(self, batch: RowBatch, plan: Plan, change: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Each row's part of its fact's loss."""
        logits = self.forward.logits(batch, change)
        each = change.new_zeros(len(change))
        if len(plan.answers):
            nll = F.cross_entropy(logits[plan.answers], plan.wanted, reduction="none")
            each = each.index_add(0, batch.read_rows[plan.answers], nll * plan.share.to(nll.dtype))
        if len(plan.stubs):
            rows = batch.read_rows[plan.stubs]
            log_p, owners = logits[plan.stubs].log_softmax(1), batch.owners[rows].tolist()
            if owners[0] not in self.clean:  # the first evaluation is at δ = 0
                self.clean.update(zip(owners, log_p.detach(), strict=True))
            clean = torch.stack([self.clean[owner] for owner in owners])
            kl = F.kl_div(clean, log_p, reduction="none", log_target=True).sum(1)
            each = each.index_add(0, rows, self.weight * kl)
        return each

    def _starts(self) -> Float[Tensor, "b d"]:
        """h0 of each fact: the clean state at the subject of its bare prompt."""
        owner_of = {row: owner for owner, row in enumerate(self.task.bare)}
        states: list[Tensor] = [torch.empty(0)] * len(owner_of)
        for batch in self.forward.batches:
            for row, state in zip(batch.rows, batch.at_cuts(batch.hidden), strict=True):
                if row in owner_of:
                    states[owner_of[row]] = state
        return torch.stack(states)


class Plan:
    """Which of a batch's reads are answers (with their target ids and their shares of the NLL) and which
    belong to KL rows; `parts` of its rows as in the task."""

    def __init__(self, batch: RowBatch, task: Task):
        device = batch.ids.device
        answers, wanted, share, stubs = [], [], [], []
        seen: dict[int, int] = {}
        for read, row in enumerate(batch.read_rows.tolist()):
            target = task.targets[batch.rows[row]]
            if not target:
                stubs.append(read)
                continue
            place = seen.get(row, 0)
            seen[row] = place + 1
            answers.append(read)
            wanted.append(target[place])
            share.append(1 / (len(target) * task.contexts))
        whole: dict[str, Any] = {"dtype": torch.long, "device": device}
        self.answers = torch.tensor(answers, **whole)
        self.wanted = torch.tensor(wanted, **whole)
        self.share = torch.tensor(share, dtype=torch.float64, device=device)
        self.stubs = torch.tensor(stubs, **whole)
        self.parts = torch.tensor([task.parts[row] for row in batch.rows], **whole)
