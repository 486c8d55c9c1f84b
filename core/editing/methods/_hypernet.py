"""MEND's network: gradients as factors, how it is trained, and a round of edits."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from core.editing.failure import EditFailure
from core.editing.lane.method import Round
from core.editing.lane.results import RoundUpdate
from core.editing.lane.session import EditSession, model_info
from core.editing.linalg.lowrank import LowRank, added, narrow
from core.editing.methods._fine_tuning import Lesson, edited_now, lesson, row_losses, through_guards
from core.editing.methods._gradients import fitted
from core.editing.training.loop import Learner, Params, Schedule
from core.editing.training.world import Taught, lessons
from core.facts.fact import Fact
from core.models.hooks import logits_at, probed
from core.models.language_model import LanguageModel
from core.models.passes import right_padded

Pair = tuple[Tensor, Tensor]  # x [n, d_in] and δ [n, d_out] of n tokens
STEP = "step"  # the edit's step before it is learnt; that of a layer is e^a times as large
FASTER = 30.0  # times the network's rate is that of log a, which has to change by orders of magnitude
SEEN, MEAN, SQUARES = "seen", "mean", "squares"  # running statistics by layer: "mean.5"
TINY = 1e-7  # is added to a standard deviation


@runtime_checkable
class Settings(Schedule, Protocol):
    """The settings of `methods.mend.Mend` that are used here."""

    @property
    def layers(self) -> tuple[int, ...] | None: ...
    @property
    def rank(self) -> int: ...
    @property
    def edit_lr(self) -> float: ...
    @property
    def normalize(self) -> bool: ...
    @property
    def edit_weight(self) -> float: ...


def gradients(
    lm: LanguageModel, rows: Sequence[Lesson], layers: Sequence[int]
) -> tuple[list[dict[int, Pair]], Float[Tensor, " b"]]:
    """(x and δ of each row by layer, at the tokens where neither is all zero; the rows' losses): Σ δ xᵀ over the tokens
    is the gradient of the row's loss in the weight."""
    with torch.enable_grad(), probed(lm, layers, len(rows)) as (keys, probes):
        loss = row_losses(lm, rows)
        slopes = torch.autograd.grad(loss.sum(), [probes[layer] for layer in layers])
    by_layer = {n: slope.reshape(len(rows), -1, slope.shape[-1]) for n, slope in zip(layers, slopes, strict=True)}
    found = []
    for r, row in enumerate(rows):
        own = {}
        for layer, slope in by_layer.items():
            x = keys[layer][r, : len(row.ids)].to(lm.master_dtype)
            delta = slope[r, : len(row.ids)].to(lm.master_dtype)
            used = x.any(1) & delta.any(1)
            own[layer] = (x[used], delta[used])
        found.append(own)
    return found, loss.detach()


def transformed(params: Mapping[str, Tensor], layer: int, pair: Pair, normalize: bool) -> Pair:
    """(x̃, − a δ̃) of tokens: ΔW is the sum of their outer products."""
    x, delta = pair
    h = torch.cat([x, delta], 1)
    if normalize:
        h = standardised(params, layer, h)
    for number in (1, 2):
        low = h @ params[f"v.{number}"].T @ params[f"u.{number}"].T + params[f"c.{number}"]
        h = h + (params[f"s.{layer}"][number - 1] * low + params[f"o.{layer}"][number - 1]).clamp(min=0)  # slope 1 at 0
    step = params[STEP] * params[f"a.{layer}"].exp()
    return h[:, : x.shape[1]], -step * h[:, x.shape[1] :]


def standardised(params: Mapping[str, Tensor], layer: int, h: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """h less the mean, by the deviation, of what was seen in training."""
    count = params[f"{SEEN}.{layer}"].clamp(min=2)
    deviation = (params[f"{SQUARES}.{layer}"] / (count - 1)).sqrt()
    return ((h.double() - params[f"{MEAN}.{layer}"]) / (deviation + TINY)).to(h.dtype)


@torch.no_grad()
def include(params: Mapping[str, Tensor], layer: int, h: Float[Tensor, "n d"]) -> None:
    """Add tokens to the running statistics, in place (Chan et al. 1979)."""
    new, before = h.double(), params[f"{SEEN}.{layer}"]
    gap, count = new.mean(0) - params[f"{MEAN}.{layer}"], len(new)
    total = before + count
    params[f"{SQUARES}.{layer}"] += (new - new.mean(0)).square().sum(0) + gap.square() * before * count / total
    params[f"{MEAN}.{layer}"] += gap * count / total
    before += count


class Hypernet(Learner):
    """The network of one model, for these layers."""

    what = "MEND's network"

    def __init__(self, session: EditSession, config: Settings):
        self.lm, self.seed, self.config, self.steps = session.lm, session.seed, config, config.steps
        self.layers = list(config.layers or ())

    @cached_property
    def facts(self) -> list[Taught]:
        """What is learnt from."""
        return lessons(model_info(self.lm), self.config.taught, self.seed)

    def about(self) -> dict[str, Any]:
        """The settings."""
        c = self.config
        return {"settings": [c.rank, c.edit_lr, c.normalize, c.lr, c.batch, c.taught, c.edit_weight, self.layers]}

    def start(self) -> Params:
        """The identity: U = c = o = 0, s = 1; rows of V have length 1 on average."""
        lm, generator = self.lm, torch.Generator().manual_seed(self.seed)
        d_out, d_in = lm.original(self.layers[0]).shape
        size, kind = d_in + d_out, lm.master_dtype
        params: Params = {STEP: torch.tensor(self.config.edit_lr, dtype=kind)}
        for number in (1, 2):
            v = torch.randn(self.config.rank, size, generator=generator) / size**0.5
            params |= {f"v.{number}": v.to(kind), f"u.{number}": torch.zeros(size, self.config.rank, dtype=kind)}
            params[f"c.{number}"] = torch.zeros(size, dtype=kind)
        for layer in self.layers:
            params[f"a.{layer}"] = torch.zeros((), dtype=kind)
            params |= {f"s.{layer}": torch.ones(2, size, dtype=kind), f"o.{layer}": torch.zeros(2, size, dtype=kind)}
            params[f"{SEEN}.{layer}"] = torch.zeros((), dtype=torch.float64)
            params |= {f"{name}.{layer}": torch.zeros(size, dtype=torch.float64) for name in (MEAN, SQUARES)}
        return params

    def rates(self) -> dict[str, float]:
        """One step size for the network, a larger one for the logarithms of the edit's steps."""
        shared = [f"{name}.{number}" for name in "uvc" for number in (1, 2)]
        own = [f"{name}.{layer}" for name in "so" for layer in self.layers]
        steps = [f"a.{layer}" for layer in self.layers]
        return dict.fromkeys([*shared, *own], self.config.lr) | dict.fromkeys(steps, FASTER * self.config.lr)

    def step(self, params: Params, number: int) -> Tensor:
        """The loss of a batch that the step's number draws: each of its facts is edited by itself."""
        rng = random.Random(f"mend {self.seed} {number}")
        chosen = rng.sample(self.facts, min(self.config.batch, len(self.facts)))
        lm = self.lm
        pairs, _ = gradients(lm, [lesson(lm, one.fact, teacher_forced=True) for one in chosen], self.layers)
        for layer in self.layers:
            include(params, layer, torch.cat([torch.cat(own[layer], 1) for own in pairs]))
        updates = [
            {layer: transformed(params, layer, own[layer], self.config.normalize) for layer in self.layers}
            for own in pairs
        ]
        outer = [lesson(lm, asked(one.other, one.fact.target), teacher_forced=True) for one in chosen]
        away = [lesson(lm, asked(one.strange, one.answer), teacher_forced=True) for one in chosen]
        with each_own(lm, updates):
            told = row_losses(lm, outer).mean()
        with torch.no_grad():
            before = answers(lm, away)
        with each_own(lm, updates):
            after = answers(lm, away)
        kept = (before.exp() * (before - after)).sum(1).mean()
        return self.config.edit_weight * told + kept


def asked(prompt: str, target: str) -> Fact:
    """A prompt with an answer, as a fact."""
    return Fact(subject="", prompt=prompt, target=target)


def answers(lm: LanguageModel, rows: Sequence[Lesson]) -> Float[Tensor, "n vocabulary"]:
    """Log-probabilities at all tokens that predict the rows' targets."""
    at = [(r, read) for r, one in enumerate(rows) for read in one.reads]
    logits = logits_at(lm, right_padded(lm, [one.ids for one in rows]), [r for r, _ in at], [c for _, c in at])
    return F.log_softmax(logits, 1)


@contextmanager
def each_own(lm: LanguageModel, updates: Sequence[Mapping[int, Pair]]) -> Iterator[None]:
    """Row r of the pass in the block has the r-th update of the weights, Σ (− a δ̃) x̃ᵀ."""

    def edit(right: Tensor, left: Tensor) -> Callable[..., Tensor]:
        def hook(_: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            inputs = args[0].reshape(len(right), -1, args[0].shape[-1]).to(right.dtype)
            return output + (inputs @ right.mT @ left).to(output.dtype).view_as(output)

        return hook

    with ExitStack() as stack:
        for layer in updates[0]:
            right, left = (
                torch.nn.utils.rnn.pad_sequence([own[layer][side] for own in updates], batch_first=True)
                for side in (0, 1)
            )
            stack.callback(lm.down(layer).register_forward_hook(edit(right, left)).remove)
        yield


def edited(round_: Round, config: Settings, params: Params) -> RoundUpdate:
    """The round: each fact's gradient on the weights as the one before left them, transformed and added."""
    lm, layers = round_.lm, round_.recipe.layers
    weights = edited_now(round_)
    parts: dict[int, list[LowRank]] = {layer: [] for layer in layers}
    losses = []
    with round_.session.watch.phase("values"):
        for number, fact in enumerate(round_.facts, 1):
            round_.tell("values", number, len(round_.facts))
            round_.beat()
            with lm.worn({**round_.state.sums, **weights}):
                (pairs,), loss = gradients(lm, [lesson(lm, fact, teacher_forced=True)], layers)
            if not bool(torch.isfinite(loss).all()):
                raise EditFailure(
                    f'The loss of "{fact.text} {fact.target}" is {float(loss)}: the edits before have broken the model.'
                    " Use fewer facts, a smaller edit_lr, or load the model in float32."
                )
            losses.append(float(loss))
            for layer in layers:
                with torch.no_grad():
                    right, left = transformed(params, layer, pairs[layer], config.normalize)
                parts[layer].append(LowRank(left.T.contiguous(), right.T.contiguous()))
                weights[layer] = added(weights[layer], parts[layer][-1].to(weights[layer].dtype))
    raw = {layer: joined(own) for layer, own in parts.items()}
    with round_.session.watch.phase("values"):
        fit = fitted(round_, torch.tensor(losses, dtype=torch.float64), raw)
    with round_.session.watch.phase("guard"):
        return through_guards(round_, raw, fit, "MEND broke the weight")


def joined(parts: Sequence[LowRank]) -> LowRank:
    """The sum of updates, with no more columns than a matrix has."""
    return narrow(LowRank(torch.cat([p.left for p in parts], 1), torch.cat([p.right for p in parts], 1)))
