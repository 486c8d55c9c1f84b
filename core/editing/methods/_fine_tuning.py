"""Constrained fine-tuning of down-projections on a round's facts, the baseline without localisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from core.editing.failure import EditFailure
from core.editing.lane.method import Round
from core.editing.lane.results import Fit, RoundUpdate
from core.editing.lane.targets import target_ids
from core.editing.linalg.lowrank import LowRank
from core.editing.rounds.spread import passed, removed
from core.facts.fact import Fact
from core.models.hooks import logits_at
from core.models.language_model import LanguageModel
from core.models.passes import batches, right_padded


@dataclass(frozen=True)
class Lesson:
    """A row of ids, and the target ids after some of its tokens."""

    ids: list[int]
    reads: list[int]
    wanted: list[int]


@runtime_checkable
class Training(Protocol):
    """The settings of training on a round's facts."""

    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def stop_loss(self) -> float: ...
    @property
    def teacher_forced(self) -> bool: ...
    @property
    def shuffle(self) -> bool: ...
    @property
    def eos(self) -> bool: ...


@runtime_checkable
class Bounded(Training, Protocol):
    """The settings of constrained fine-tuning."""

    @property
    def lr(self) -> float: ...
    @property
    def bound(self) -> float | None: ...


def fine_tuned(round_: Round, train: Callable[[], tuple[dict[int, Tensor], Fit]]) -> RoundUpdate:
    """The change of the lane's current weights by training, after the guards. Not of low rank.

    `train` gives the new weights, and the losses of the facts.
    """
    watch = round_.session.watch
    with watch.phase("values"):
        weights, fit = train()
    with watch.phase("guard"):
        raw = {layer: LowRank.full(weights[layer] - before) for layer, before in edited_now(round_).items()}
        return through_guards(round_, raw, fit, "Fine-tuning broke the weight")


def through_guards(round_: Round, raw: dict[int, LowRank], fit: Fit, broke: str) -> RoundUpdate:
    """The result of a method that trains: its updates after the guards. `broke` begins the message of an `EditFailure`
    about an update that is not finite."""
    updates, shares = {}, {}
    for layer, before in edited_now(round_).items():
        if not bool(torch.isfinite(raw[layer].left).all() and torch.isfinite(raw[layer].right).all()):
            raise EditFailure(f"{broke} of layer {layer}. Lower lr, or load the model in float32.")
        wide = raw[layer].to(torch.float64)
        guarded = passed(wide, round_.recipe.update_guards, round_.session, layer, before)
        updates[layer], shares[layer] = guarded.to(before.dtype), removed(wide, guarded)
    return keyless(round_, updates, raw, shares, fit)


def keyless(
    round_: Round, updates: dict[int, LowRank], raw: dict[int, LowRank], shares: dict[int, float], fit: Fit
) -> RoundUpdate:
    """The result of a method without keys and target values: its residual is the loss, relative to the initial one."""
    rest = float((fit.loss / fit.loss_start.clamp(min=1e-12)).mean())
    return RoundUpdate(
        updates=updates,
        keys={layer: before.new_zeros(before.shape[1], 0) for layer, before in edited_now(round_).items()},
        raw=raw,
        removed_share=shares,
        residual_before=dict.fromkeys(updates, 1.0),
        residual_after=dict.fromkeys(updates, rest),
        values=fit,
    )


def edited_now(round_: Round) -> dict[int, Float[Tensor, "d_out d_in"]]:
    """The matrices to change: a branched lane may have other edited matrices, which stay unchanged."""
    return {layer: round_.state.sums[layer] for layer in round_.recipe.layers}


def trained(round_: Round, config: Bounded) -> tuple[dict[int, Float[Tensor, "d_out d_in"]], Fit]:
    """The weights after training, and the facts' losses.

    Each step goes through the round's facts in batches, one step of Adam each. A batch whose loss is below `stop_loss`
    makes no step, and training ends when the mean over batches is below it. With `bound` every entry stays within ±
    bound of its value at the beginning of the round.
    """
    lm, before = round_.lm, edited_now(round_)
    weights = {layer: weight.clone().requires_grad_() for layer, weight in before.items()}
    adam = torch.optim.Adam(weights.values(), lr=config.lr)

    def attempt(lessons: Sequence[Lesson]) -> tuple[Float[Tensor, " b"], Callable[[], None]]:
        adam.zero_grad()
        loss = graded(lm, weights, lessons)

        def step() -> None:
            adam.step()
            bounded(weights, before, config.bound)

        return loss, step

    fit = practised(round_, config, attempt, "Fine-tuning on")
    return {layer: weight.detach() for layer, weight in weights.items()}, fit


def practised(
    round_: Round,
    config: Training,
    attempt: Callable[[Sequence[Lesson]], tuple[Float[Tensor, " b"], Callable[[], None]]],
    doing: str,
) -> Fit:
    """Goes through the round's facts in batches, up to `steps` times: `attempt` gives a batch's losses and the step,
    which is made unless their mean is below `stop_loss`. Ends when the mean over batches is below it. `doing` is
    the beginning of the message of an `EditFailure` about a loss that is not finite."""
    lm = round_.lm
    lessons = [lesson(lm, fact, config.teacher_forced, config.eos) for fact in round_.facts]
    order = torch.Generator().manual_seed(round_.session.seed) if config.shuffle else None
    first, loss, steps_taken = torch.zeros(len(lessons)), torch.zeros(len(lessons)), 0
    with lm.worn(round_.state.sums):
        for number in range(config.steps):
            round_.tell("values", number + 1, config.steps)
            parts = epoch(len(lessons), config.batch, order)
            for part in parts:
                round_.beat()
                loss[part], step = attempt([lessons[i] for i in part])
                if not bool(torch.isfinite(loss[part]).all()):
                    fact = round_.facts[part[int((~torch.isfinite(loss[part])).nonzero()[0])]]
                    raise EditFailure(
                        f'{doing} "{fact.text} {fact.target}" became {float(loss[part].sum())} at step {number}. Lower'
                        " lr, or load the model in float32."
                    )
                if float(loss[part].mean()) >= config.stop_loss:
                    step()
            steps_taken += 1
            first = loss.clone() if number == 0 else first
            if sum(float(loss[part].mean()) for part in parts) / len(parts) < config.stop_loss:
                break
    return Fit(first.double(), loss.double(), torch.full((len(lessons),), steps_taken))


def epoch(count: int, size: int, order: torch.Generator | None) -> list[list[int]]:
    """The batches of one pass over facts: in their order, or shuffled by the generator, which moves on."""
    places = list(range(count)) if order is None else torch.randperm(count, generator=order).tolist()
    return [places[start : start + size] for start in range(0, count, size)]


def graded(
    lm: LanguageModel, weights: Mapping[int, Float[Tensor, "d_out d_in"]], lessons: Sequence[Lesson]
) -> Float[Tensor, " b"]:
    """Each row's loss; the gradient of their mean is added to the weights' `grad`."""
    loss = torch.zeros(len(lessons))
    for group in batches([len(lesson_.ids) for lesson_ in lessons], lm.token_budget):
        members = [lessons[i] for i in group]
        with torch.enable_grad(), through(lm, weights):
            per_row = row_losses(lm, members)
            (per_row.sum() / len(lessons)).backward()
        loss[group] = per_row.detach().float().cpu()
    return loss


def token_losses(lm: LanguageModel, lessons: Sequence[Lesson]) -> Float[Tensor, " n"]:
    """− log p of every target token of the rows, one after the other, by one pass."""
    rows = [r for r, one in enumerate(lessons) for _ in one.reads]
    columns = [read for one in lessons for read in one.reads]
    wanted = torch.tensor([w for one in lessons for w in one.wanted], device=lm.device)
    logits = logits_at(lm, right_padded(lm, [one.ids for one in lessons]), rows, columns)
    return F.cross_entropy(logits, wanted, reduction="none")


def row_losses(lm: LanguageModel, lessons: Sequence[Lesson]) -> Float[Tensor, " b"]:
    """Each row's mean over its target tokens, by one pass."""
    each = token_losses(lm, lessons)
    rows = [r for r, one in enumerate(lessons) for _ in one.reads]
    owners = torch.tensor(rows, device=lm.device)
    share = torch.tensor([1 / len(lessons[r].reads) for r in rows], dtype=each.dtype, device=lm.device)
    return each.new_zeros(len(lessons)).index_add(0, owners, each * share)


@contextmanager
def through(lm: LanguageModel, weights: Mapping[int, Float[Tensor, "d_out d_in"]]) -> Iterator[None]:
    """Use these matrices in the down-projections, so that gradients reach them."""

    def replaced(weight: Tensor) -> Callable[..., Tensor]:
        def hook(part: Any, args: tuple, _: Tensor) -> Tensor:
            return F.linear(args[0], weight.to(args[0].dtype), part.bias)

        return hook

    with ExitStack() as stack:
        for layer, weight in weights.items():
            handle = lm.down(layer).register_forward_hook(replaced(weight))
            stack.callback(handle.remove)
        yield


@torch.no_grad()
def bounded(weights: Mapping[int, Tensor], before: Mapping[int, Tensor], bound: float | None) -> None:
    """Clamp entries to their interval."""
    if bound is not None:
        for layer, weight in weights.items():
            weight.copy_(torch.minimum(torch.maximum(weight, before[layer] - bound), before[layer] + bound))


def lesson(lm: LanguageModel, fact: Fact, teacher_forced: bool, eos: bool = False) -> Lesson:
    """Positions and targets: every target token after the prompt's last token, or each after the target tokens
    before it. With `eos` the end of the text is one more target token."""
    prompt = lm.asked(fact.text)
    head, target = lm.encode(prompt), target_ids(lm, prompt, fact.target, eos)
    last = len(head) - 1
    if teacher_forced:
        return Lesson([*head, *target[:-1]], list(range(last, last + len(target))), target)
    return Lesson(list(head), [last] * len(target), target)
