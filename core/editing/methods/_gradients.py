"""Editing by one gradient (UltraEdit): what the layers read and what the loss asks of their outputs, at the tokens that
predict the facts' answers; both standardised by all that the lane has seen; and one solve per layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.failure import EditFailure
from core.editing.history.running import Running
from core.editing.lane.method import Round
from core.editing.lane.results import Fit, RoundUpdate
from core.editing.linalg.lowrank import LowRank, added, narrow
from core.editing.linalg.solve import factor
from core.editing.methods._fine_tuning import Lesson, edited_now, keyless, lesson, token_losses
from core.editing.rounds.spread import passed, removed
from core.models.forward import score
from core.models.hooks import probed
from core.models.language_model import LanguageModel
from core.models.passes import batches

KEYS, SLOPES, SIZES = "keys", "slopes", "sizes"  # in the lane's memory
ALL = "all"  # in place of a layer, where layers share their statistics


@runtime_checkable
class Solving(Protocol):
    """The settings of the solve."""

    @property
    def eta(self) -> float | None: ...
    @property
    def step(self) -> float: ...
    @property
    def ridge(self) -> float | None: ...
    @property
    def share(self) -> float: ...
    @property
    def pooled(self) -> bool: ...
    @property
    def eos(self) -> bool: ...


@dataclass(frozen=True)
class Answers:
    """At the n tokens that predict the facts' answers, by layer: the down-projection's inputs [d_in, n] and the
    gradients of the loss in its outputs [d_out, n], float64; each fact's loss, the mean over its tokens."""

    keys: dict[int, Float[Tensor, "d_in n"]]
    slopes: dict[int, Float[Tensor, "d_out n"]]
    loss: Float[Tensor, " b"]


def solved_once(round_: Round, config: Solving) -> RoundUpdate:
    """The round: one backward pass on the lane's current model, then all layers at once."""
    watch, layers = round_.session.watch, round_.recipe.layers
    with watch.phase("values"):
        round_.tell("values", 1, 1)
        found = round_.once("answers", lambda: answers(round_, config))
    updates, raw, shares, notes = {}, {}, {}, []
    with watch.phase("solve"):
        statistics, memory = seen(round_, found, config.pooled)
        for number, (layer, before) in enumerate(edited_now(round_).items(), 1):
            round_.beat()
            round_.tell("layers", number, len(layers))
            keys, slopes = found.keys[layer], found.slopes[layer]
            name = f"{round_.recipe.method_name}.{SIZES}.{layer}"
            memory[name] = round_.state.memory.get(name, sizes(before, keys))
            eta, ridge, told = strengths(config, before, memory[name], layer)
            notes += told
            of_keys, of_slopes = statistics[layer]
            asked = shift(of_keys.standardised(keys), of_slopes.standardised(slopes), eta)
            wide = narrow(LowRank(asked, pushed_through(keys, ridge, layer)))
            finite(round_, layer, wide.left, wide.right)
            with watch.phase("guard"):
                guarded = passed(wide, round_.recipe.update_guards, round_.session, layer, before)
            updates[layer], raw[layer] = guarded.to(before.dtype), wide.to(before.dtype)
            shares[layer] = removed(wide, guarded)
    if statistics[layers[0]][0].count < 2:
        notes.append("One answer token is all that the lane has seen: there is no variance yet, and nothing is edited.")
    with watch.phase("values"):
        fit = fitted(round_, found.loss, updates)
    return replace(keyless(round_, updates, raw, shares, fit), notes=notes, memory=memory)


def answers(round_: Round, config: Solving) -> Answers:
    """Keys and gradients of Σ − log p over the answers' tokens. A sum: no token's gradient depends on the other facts.

    A gradient at an answer's token contains what the later tokens of the same answer ask of it.
    """
    lm, layers = round_.lm, round_.recipe.layers
    lessons = [lesson(lm, fact, teacher_forced=True, eos=config.eos) for fact in round_.facts]
    parts: dict[int, tuple[dict[int, Tensor], dict[int, Tensor], Tensor]] = {}
    with lm.worn(round_.state.sums):
        for group in batches([len(one.ids) for one in lessons], lm.token_budget):
            round_.beat()
            for index, part in zip(group, backward(lm, [lessons[i] for i in group], layers), strict=True):
                parts[index] = part
    ordered = [parts[index] for index in range(len(lessons))]
    loss = torch.stack([one[2] for one in ordered])
    for fact, each in zip(round_.facts, loss, strict=True):
        if not bool(torch.isfinite(each)):
            raise EditFailure(
                f'The loss of "{fact.text} {fact.target}" is {float(each)}. Use fewer rounds, or load the model in'
                " float32."
            )
    columns = [
        {layer: torch.cat([one[side][layer] for one in ordered]).double().T.contiguous() for layer in layers}
        for side in (0, 1)
    ]
    return Answers(columns[0], columns[1], loss)


def backward(
    lm: LanguageModel, lessons: Sequence[Lesson], layers: Sequence[int]
) -> Iterator[tuple[dict[int, Tensor], dict[int, Tensor], Tensor]]:
    """For each row: keys and gradients at its reads by layer, [reads, d] each, and its mean loss."""
    with torch.enable_grad(), probed(lm, layers, len(lessons)) as (keys, probes):
        each = token_losses(lm, lessons)
        slopes = dict(zip(layers, torch.autograd.grad(each.sum(), [probes[layer] for layer in layers]), strict=True))
    start = 0
    for row, one in enumerate(lessons):
        reads = torch.tensor(one.reads, device=lm.device)
        loss = each[start : start + len(reads)].detach().double().mean().cpu()
        start += len(reads)
        yield (
            {layer: keys[layer][row, reads] for layer in layers},
            {layer: slopes[layer].reshape(len(lessons), -1, slopes[layer].shape[-1])[row, reads] for layer in layers},
            loss,
        )


def seen(round_: Round, found: Answers, pooled: bool) -> tuple[dict[int, tuple[Running, Running]], dict[str, Tensor]]:
    """(the statistics of keys and gradients of each layer, this round's included; what the lane keeps of them)."""
    statistics: dict[int, tuple[Running, Running]] = {}
    memory: dict[str, Tensor] = {}
    groups = [list(found.keys)] if pooled else [[layer] for layer in found.keys]
    for group in groups:
        sides = []
        for kind, columns in ((KEYS, found.keys), (SLOPES, found.slopes)):
            name = f"{round_.recipe.method_name}.{kind}.{ALL if pooled else group[0]}"
            before = round_.state.memory.get(name)
            known = Running.none(columns[group[0]]) if before is None else Running.unpacked(before)
            known = known.joined(torch.cat([columns[layer] for layer in group], 1))
            memory[name] = known.packed()
            sides.append(known)
        statistics |= dict.fromkeys(group, (sides[0], sides[1]))
    return statistics, memory


def sizes(weight: Float[Tensor, "d_out d_in"], keys: Float[Tensor, "d_in n"]) -> Float[Tensor, " 2"]:
    """(the median ‖k‖², the median ‖W k‖): how large a layer's inputs and outputs are."""
    return torch.stack([keys.square().sum(0).median(), (weight.double() @ keys).norm(dim=0).median()])


def strengths(
    config: Solving, weight: Float[Tensor, "d_out d_in"], measured: Float[Tensor, " 2"], layer: int
) -> tuple[float, float, list[str]]:
    """(η, a, notes on those that were measured). Since ‖k̂‖² is about d_in and ‖ĝ‖ about √d_out, η asks each output to
    move by about η d_in √d_out: `step` of its usual length, if η is measured."""
    d_out, d_in = weight.shape
    key, output = measured.tolist()
    eta = config.eta if config.eta is not None else config.step * output / (d_in * d_out**0.5)
    ridge = config.ridge if config.ridge is not None else config.share * key
    named = [f"η = {eta:.3g}" if config.eta is None else "", f"a = {ridge:.3g}" if config.ridge is None else ""]
    told = " and ".join(name for name in named if name)
    sized = f"the median ‖W k‖ is {output:.3g}, the median ‖k‖² {key:.3g}"
    return (
        eta,
        max(ridge, torch.finfo(torch.float64).tiny),
        [f"Layer {layer}: {told}, as measured: {sized}."] if told else [],
    )


def shift(
    keys: Float[torch.Tensor, "d_in n"], slopes: Float[torch.Tensor, "d_out n"], eta: float
) -> Float[torch.Tensor, "d_out n"]:
    """u = −η ‖k̂‖² ĝ of each token: what the solve asks of its output."""
    return -eta * keys.square().sum(0) * slopes


def pushed_through(keys: Float[torch.Tensor, "d_in n"], ridge: float, layer: int) -> Float[torch.Tensor, "d_in n"]:
    """K (KᵀK + a I)⁻¹ = (K Kᵀ + a I)⁻¹ K, by the smaller of the two matrices."""
    few = keys.shape[1] <= keys.shape[0]
    gram = keys.T @ keys if few else keys @ keys.T
    gram.diagonal().add_(ridge)
    lower = factor(gram, layer)
    return torch.cholesky_solve(keys.T, lower).T.contiguous() if few else torch.cholesky_solve(keys, lower)


def fitted(round_: Round, before: Float[Tensor, " b"], updates: dict[int, LowRank]) -> Fit:
    """The facts' losses before and after the round."""
    weights = round_.state.sums | {layer: added(round_.state.sums[layer], delta) for layer, delta in updates.items()}
    with round_.lm.worn(weights):
        after = score(
            round_.lm,
            [fact.text for fact in round_.facts],
            [fact.target for fact in round_.facts],
            beat=round_.heartbeat,
        )
    return Fit(before, -after.logprob.double(), torch.full((len(before),), 2))


def finite(round_: Round, layer: int, *numbers: Tensor) -> None:
    """`EditFailure` unless all numbers are finite."""
    if not all(bool(torch.isfinite(part).all()) for part in numbers):
        raise EditFailure(
            f'{round_.recipe.method.title}: the round of "{round_.facts[0].text} {round_.facts[0].target}" at layer'
            f" {layer} is not finite. Use a smaller step or eta, a larger ridge, or load the model in float32."
        )
