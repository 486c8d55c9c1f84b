"""A round of WISE: its facts are written into the side memory, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.editing.extras.blocks import block, packed
from core.editing.extras.routing import flat, moved
from core.editing.extras.wise import (
    MASK,
    SETTINGS,
    Act,
    nonlinearity,
    packed_bits,
    shift,
)
from core.editing.failure import EditFailure
from core.editing.lane.contexts import prefixes, sample_contexts
from core.editing.lane.method import Round
from core.editing.lane.results import Fit, RoundUpdate
from core.editing.methods._fine_tuning import Lesson, lesson, row_losses
from core.editing.methods._ties import merging, opened, shard_as
from core.editing.rounds.remembered import remembered
from core.errors import UserError
from core.models.forward import token_activations
from core.models.hooks import skipping_layers
from core.models.passes import batches, right_padded

COUNT, MARGINS = "wise.count", "wise.margins"  # facts so far; α, β, γ
PILOT = 8  # facts by which margins are measured, without margins
UNRELATED, LENGTH = 16, 16  # texts that the memory must leave alone, and their tokens


@runtime_checkable
class Settings(Protocol):
    """The settings of `methods.wise.Wise` that are used here."""

    @property
    def steps(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def eos(self) -> bool: ...
    @property
    def stop_loss(self) -> float: ...
    @property
    def bound(self) -> float: ...
    @property
    def density(self) -> float: ...
    @property
    def alpha(self) -> float | None: ...
    @property
    def beta(self) -> float | None: ...
    @property
    def gamma(self) -> float | None: ...
    @property
    def act_ratio(self) -> float: ...
    @property
    def act(self) -> bool: ...
    @property
    def shard(self) -> int: ...
    @property
    def merge(self) -> int | None: ...
    @property
    def keep(self) -> float: ...
    @property
    def context_seeds(self) -> str: ...
    def samples(self) -> tuple[tuple[int, int], ...]: ...


@dataclass(frozen=True)
class Margins:
    """α, β, γ of the loss."""

    alpha: float
    beta: float
    gamma: float

    def loss(self, inside: Tensor, outside: Tensor) -> Tensor:
        """max(0, d_out − α) + max(0, β − d_in) + max(0, γ − d_in + d_out)."""
        near, far, between = outside - self.alpha, self.beta - inside, self.gamma - inside + outside
        return near.relu() + far.relu() + between.relu()


@dataclass(frozen=True)
class Batch:
    """Rows of a fact, run up to the edited layer: the states below it (None for layer 0), flat places of the tokens
    where W' acts, and at the prompts' ends the layer's inputs and W's outputs."""

    rows: list[Lesson]
    below: Any
    at: Tensor
    keys: Float[Tensor, "n d_in"]
    outputs: Float[Tensor, "n d_out"]


def edited(round_: Round, config: Settings) -> RoundUpdate:
    """The round: each fact is trained on the memory as the one before left it; full shards are merged when it is
    time."""
    lm, layers, memory = round_.lm, round_.recipe.layers, dict(round_.state.memory)
    if len(layers) != 1:
        raise UserError(f'Lane "{round_.recipe.label}": WISE has one layer, not {len(layers)}; give "layers": [6].')
    act_name = act_of(lm.config) if config.act else ""
    writer = Writer(round_, config, layers[0], nonlinearity(act_name))
    with round_.session.watch.phase("values"), lm.worn(round_.state.sums):
        margins, notes = measured(writer, memory.get(MARGINS))
        new: dict[str, Tensor] = {}
        count, fits = int(memory.get(COUNT, 0)), []
        for number, fact in enumerate(round_.facts):
            shard = count // config.shard
            mask, delta, floor = opened(memory | new, shard) or writer.begun(shard)
            delta, inside, found = writer.trained(writer.batches(fact), delta, mask, margins, count, number)
            fits.append(found)
            if block(MASK, shard) not in memory | new:
                new[block(MASK, shard)] = packed_bits(mask)
            new |= shard_as(shard, delta[mask], min(floor, inside))
            count += 1
            if config.merge is not None and count % config.merge == 0:
                new |= merging(memory | new, config.keep)
    settings = {"layer": layers[0], "ratio": config.act_ratio, "act": act_name}
    new |= {SETTINGS: packed(settings), COUNT: torch.tensor([count])}
    new[MARGINS] = torch.tensor([margins.alpha, margins.beta, margins.gamma], dtype=torch.float64)
    first, last, steps = zip(*fits, strict=True)
    losses = torch.tensor([first, last], dtype=torch.float64)
    return remembered(new, Fit(losses[0], losses[1], torch.tensor(steps).int()), notes=notes)


class Writer:
    """Training of D for one round."""

    def __init__(self, round_: Round, config: Settings, layer: int, act: Act | None):
        self.round_, self.config, self.layer, self.act = round_, config, layer, act
        self.before = prefixes(round_.session.contexts(config, round_.heartbeat))
        self.unrelated = self._unrelated()

    def begun(self, shard: int) -> tuple[Bool[Tensor, "o i"], Float[Tensor, "o i"], float]:
        """A new memory: its mask, drawn by the run's seed and its number, D = 0, and no smallest d."""
        shape = self.round_.state.sums[self.layer].shape
        random = torch.Generator().manual_seed(self.round_.session.seed * 1_000_003 + shard)
        mask = torch.rand(shape, generator=random) < self.config.density
        return mask, torch.zeros(shape, dtype=self.round_.lm.master_dtype), torch.inf

    def batches(self, fact: Any) -> list[Batch]:
        """The rows of a fact, bare and after the sampled texts, as far as they do not depend on D."""
        lm = self.round_.lm
        asked = [replace(fact, prompt=text + fact.prompt) for text in self.before]
        rows = [lesson(lm, one, teacher_forced=True, eos=self.config.eos) for one in asked]
        parts = batches([len(row.ids) for row in rows], lm.gradient_budget)
        return [self._prepared([rows[i] for i in part]) for part in parts]

    @torch.no_grad()
    def _prepared(self, rows: list[Lesson]) -> Batch:
        lm, seen = self.round_.lm, {}
        width = max(len(row.ids) for row in rows)
        places = [r * width + read for r, row in enumerate(rows) for read in row.reads]
        ends = torch.tensor([r * width + row.reads[0] for r, row in enumerate(rows)], device=lm.device)

        def keep(_: Any, args: tuple, output: Tensor) -> None:
            seen["keys"], seen["outputs"] = flat(args[0])[ends], flat(output)[ends]

        handles = [lm.down(self.layer).register_forward_hook(keep)]
        if self.layer:
            below = lm.layers[self.layer - 1]
            handles.append(below.register_forward_hook(lambda _, __, output: seen.update(below=output)))
        try:
            lm.model(**right_padded(lm, [row.ids for row in rows]), use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        at = torch.tensor(places, device=lm.device)
        wide = [seen[name].to(lm.master_dtype) for name in ("keys", "outputs")]
        return Batch(rows, seen.get("below"), at, *wide)

    def trained(
        self,
        parts: Sequence[Batch],
        delta: Float[Tensor, "o i"],
        mask: Bool[Tensor, "o i"],
        margins: Margins | None,
        count: int,
        number: int,
    ) -> tuple[Float[Tensor, "o i"], float, tuple[float, float, int]]:
        """(D after the steps of one fact, its d_in then, (− log p at first and at the end, steps))."""
        round_, config, rows = self.round_, self.config, sum(len(part.rows) for part in parts)
        given = delta.to(round_.lm.device).requires_grad_()
        allowed = mask.to(given.device)
        outside_keys, outside_outputs = self.unrelated[count % len(self.unrelated)]
        first = loss = 0.0
        steps = 0
        for step in range(config.steps):
            round_.tell("values", number * config.steps + step + 1, len(round_.facts) * config.steps)
            round_.beat()
            slope = torch.zeros_like(given)
            with torch.enable_grad():
                inside = [shift(part.keys @ given.T, part.outputs, self.act) for part in parts]
                total = torch.zeros((), dtype=given.dtype, device=given.device)
                if margins is not None:
                    outside = shift(outside_keys @ given.T, outside_outputs, self.act).mean()
                    total = margins.loss(torch.cat(inside).mean(), outside)
                    slope += torch.autograd.grad(total, given)[0]
                loss = 0.0
                for part in parts:
                    own = self._losses(part, given).sum() / rows
                    slope += torch.autograd.grad(own, given)[0]
                    loss += float(own.detach())
            steps = step + 1
            first = loss if step == 0 else first
            if not bool(torch.isfinite(total)) or loss != loss:
                fact = round_.facts[number % len(round_.facts)]
                raise EditFailure(f'The loss of "{fact.text} {fact.target}" is not finite at step {step}. Lower lr.')
            if loss + float(total.detach()) <= config.stop_loss or steps == config.steps:
                break
            with torch.no_grad():
                given -= config.lr * slope.masked_fill(~allowed, 0.0)
                given.clamp_(-config.bound, config.bound)
        size = float(torch.cat(inside).detach().mean())
        return given.detach().cpu(), size, (first, loss, steps)

    def _losses(self, part: Batch, delta: Float[Tensor, "o i"]) -> Float[Tensor, " b"]:
        """− log p of a batch's targets with W + D in the place of W; only the layers from the edited one on are run."""
        lm = self.round_.lm

        def hook(_: Any, args: tuple, output: Tensor) -> Tensor:
            return moved(output, part.at, flat(args[0])[part.at].to(delta.dtype) @ delta.T)

        skipped = skipping_layers(lm, self.layer - 1, part.below) if self.layer else nullcontext()
        handle = lm.down(self.layer).register_forward_hook(hook)
        try:
            with skipped:
                return row_losses(lm, part.rows)
        finally:
            handle.remove()

    def _unrelated(self) -> list[tuple[Tensor, Tensor]]:
        """Inputs and outputs of the layer at all tokens of texts that the unedited model wrote."""
        round_, lm, place = self.round_, self.round_.lm, ("wise", UNRELATED, LENGTH)
        if place not in round_.session.memo:
            with round_.session.setup():
                seed = round_.session.seed + 1  # other texts than those before the prompts
                round_.session.memo[place] = sample_contexts(lm, seed, UNRELATED, LENGTH, beat=round_.heartbeat)
        with lm.worn(round_.state.sums):
            return [(self._at(text, "key"), self._at(text, "down")) for text in round_.session.memo[place]]

    def _at(self, text: str, site: str) -> Float[Tensor, "n d"]:
        return token_activations(self.round_.lm, [text], [self.layer], site)[self.layer]


def measured(writer: Writer, known: Tensor | None) -> tuple[Margins, list[str]]:
    """The margins: those of the lane's first round; there, those given, and else (m / 4, m, m / 2) with m the median
    d_in of a few facts, each trained without margins on a memory of its own."""
    if known is not None:
        return Margins(*known.tolist()), []
    config, facts = writer.config, writer.round_.facts[:PILOT]
    given = (config.alpha, config.beta, config.gamma)
    if config.alpha is not None and config.beta is not None and config.gamma is not None:
        return Margins(config.alpha, config.beta, config.gamma), []
    mask, nothing, _ = writer.begun(0)
    sizes = [writer.trained(writer.batches(fact), nothing.clone(), mask, None, 0, i)[1] for i, fact in enumerate(facts)]
    m = float(torch.tensor(sizes).double().median())
    margins = Margins(*(share * m if own is None else own for own, share in zip(given, (0.25, 1.0, 0.5), strict=True)))
    return margins, [
        f"Margins α = {margins.alpha:.3g}, β = {margins.beta:.3g}, γ = {margins.gamma:.3g}: {len(facts)} facts moved"
        f" the output by {m:.3g} (median) without them."
    ]


def act_of(config: Any) -> str:
    """The name of the FFN's non-linearity."""
    names = ("hidden_act", "hidden_activation", "activation_function")
    found = [getattr(config, name, None) for name in names]
    return next((str(name) for name in found if name), "relu")
