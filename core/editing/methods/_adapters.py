"""Rounds of adapters: factors of a low-rank ΔW are trained and go on from round to round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from core.editing.lane.method import Round
from core.editing.lane.results import RoundUpdate
from core.editing.linalg.lowrank import LowRank
from core.editing.methods._fine_tuning import Lesson, Training, edited_now, graded, practised, through_guards

Params = dict[str, Tensor]


@runtime_checkable
class Adapting(Training, Protocol):
    """The settings of an adapter that is trained."""

    @property
    def lr(self) -> float: ...
    @property
    def rank(self) -> int: ...
    @property
    def alpha(self) -> float: ...


@runtime_checkable
class Adapter(Protocol):
    """The form of an adapter: its first parameters, the factors of its ΔW, and a penalty besides the loss."""

    def start(self, d_out: int, d_in: int, random: torch.Generator) -> Params:
        """Parameters with ΔW = 0."""
        ...

    def factors(self, params: Mapping[str, Tensor]) -> LowRank:
        """ΔW of these parameters."""
        ...

    def penalty(self, layers: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """What is added to the mean loss."""
        ...


def adapted(round_: Round, config: Adapting, form: Adapter) -> RoundUpdate:
    """The round's change of ΔW by training on its facts, after the guards. Its rank is at most twice the adapter's.

    The parameters are those with which the last round ended; Adam begins anew. What guards take away is taken from the
    weights, not from the parameters: the next round trains the difference to them, on the weights as they are.
    """
    watch, name = round_.session.watch, round_.recipe.method_name
    before = edited_now(round_)
    with watch.phase("values"):
        start = {layer: restored(round_, name, form, layer, weight) for layer, weight in before.items()}
        params = {layer: {n: p.clone().requires_grad_() for n, p in own.items()} for layer, own in start.items()}
        fit = practised(round_, config, attempts(round_, config, form, before, start, params), "The adapter, on")
    now = {layer: {n: p.detach() for n, p in own.items()} for layer, own in params.items()}
    with watch.phase("guard"):
        raw = {layer: difference(form, now[layer], start[layer]) for layer in before}
        update = through_guards(round_, raw, fit, "Training broke the adapter")
    return replace(update, memory={f"{name}.{n}.{layer}": p.clone() for layer in now for n, p in now[layer].items()})


def restored(round_: Round, name: str, form: Adapter, layer: int, weight: Tensor) -> Params:
    """The parameters with which the last round ended; in the first round new ones, drawn by the run's seed."""
    random = torch.Generator().manual_seed(round_.session.seed * 1_000_003 + layer)
    d_out, d_in = weight.shape
    first = form.start(d_out, d_in, random)
    kept = {n: round_.state.memory.get(f"{name}.{n}.{layer}", p) for n, p in first.items()}
    fits = all(kept[n].shape == p.shape for n, p in first.items())  # a branch may have another rank
    return {n: p.to(weight) for n, p in (kept if fits else first).items()}


def difference(form: Adapter, now: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> LowRank:
    """ΔW(now) − ΔW(before), factors side by side."""
    new, old = form.factors(now), form.factors(before)
    return LowRank(torch.cat([new.left, -old.left], 1), torch.cat([new.right, old.right], 1))


def attempts(
    round_: Round,
    config: Adapting,
    form: Adapter,
    before: Mapping[int, Tensor],
    start: Mapping[int, Params],
    params: Mapping[int, Params],
) -> Callable[[Sequence[Lesson]], tuple[Tensor, Callable[[], None]]]:
    """The function that gives a batch's losses and the step, as `practised` takes it."""
    flat = [p for own in params.values() for p in own.values()]
    adam = torch.optim.Adam(flat, lr=config.lr)
    old = {layer: form.factors(own).dense() for layer, own in start.items()}

    def attempt(lessons: Sequence[Lesson]) -> tuple[Tensor, Callable[[], None]]:
        adam.zero_grad()
        with torch.enable_grad():
            deltas = {layer: form.factors(own).dense() for layer, own in params.items()}
            penalty = form.penalty(list(params.values()))
        weights = {n: (w + (deltas[n].detach() - old[n])).requires_grad_() for n, w in before.items()}
        loss = graded(round_.lm, weights, lessons)

        def step() -> None:
            slopes = [weights[layer].grad for layer in deltas]
            if penalty.requires_grad:
                torch.autograd.backward([*deltas.values(), penalty], [*slopes, torch.ones_like(penalty)])
            else:
                torch.autograd.backward(list(deltas.values()), slopes)
            adam.step()

        return loss, step

    return attempt
