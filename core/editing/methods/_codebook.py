"""A round of GRACE: where its facts go in the codebook, and the values that make them true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.editing.extras.blocks import Memory, block, blocks, packed, unpacked
from core.editing.extras.grace import KEYS, LABELS, LAYER, RADII, VALUES, distances, replaced
from core.editing.failure import EditFailure
from core.editing.lane.method import Round
from core.editing.lane.results import Fit, RoundUpdate
from core.editing.methods._fine_tuning import Lesson, lesson, row_losses
from core.editing.methods._radius import SAME, radius
from core.editing.rounds.remembered import remembered
from core.editing.values.adam import Adam
from core.errors import UserError
from core.models.forward import activations_at
from core.models.passes import batches

EPS = "grace.eps"
APART = 1 - 1e-5  # so that the balls of two targets do not touch


@runtime_checkable
class Settings(Protocol):
    """The settings of `methods.grace.Grace` that are used here."""

    @property
    def eps(self) -> float | None: ...
    @property
    def steps(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def relative_lr(self) -> bool: ...
    @property
    def warm(self) -> bool: ...
    @property
    def stop_loss(self) -> float: ...
    @property
    def eos(self) -> bool: ...
    @property
    def context_seeds(self) -> str: ...
    def samples(self) -> tuple[tuple[int, int], ...]: ...


@dataclass
class Book:
    """A codebook that is being edited: keys [n, d_in] float64, values by entry, radii, targets as ids; `first` is the
    number of entries before the round, `touched` those that the round changes."""

    keys: Float[Tensor, "n d_in"]
    values: dict[int, Float[Tensor, " d_out"]]
    radii: list[float]
    labels: list[list[int]]
    first: int
    touched: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, memory: Memory, d_in: int) -> Book:
        """The codebook of a lane's memory."""
        kept = blocks(memory, KEYS)
        keys = torch.cat([torch.zeros(0, d_in, dtype=torch.float64), *(part.cpu().double() for part in kept.values())])
        values = [row for first in kept for row in memory[block(VALUES, first)].cpu()]
        radii = [radius for first in kept for radius in memory[block(RADII, first)].tolist()]
        labels = [label for first in kept for label in unpacked(memory[block(LABELS, first)])]
        return cls(keys, dict(enumerate(values)), radii, labels, len(keys))

    def place(self, query: Float[Tensor, " d_in"], label: list[int], eps: float) -> int:
        """The entry of a fact: a new one, or the nearest one if that has the same target (or the same prompt)."""
        if not len(self.keys):
            return self._add(query, label, eps)
        gap, nearest = (float(value) for value in distances(query[None], self.keys).min(1))
        index, radius = int(nearest), self.radii[int(nearest)]
        if gap > radius + eps:
            return self._add(query, label, eps)
        self.touched.add(index)
        if label == self.labels[index]:
            self.radii[index] = max(radius, gap)
            return index
        if gap <= SAME * float(query.norm()):
            self.labels[index] = label
            return index
        self.radii[index] = min(radius, gap / 2 * APART)
        return self._add(query, label, gap / 2)

    def _add(self, query: Float[Tensor, " d_in"], label: list[int], radius: float) -> int:
        self.keys = torch.cat([self.keys, query[None].double().cpu()])
        self.radii.append(radius)
        self.labels.append(label)
        self.touched.add(len(self.keys) - 1)
        return len(self.keys) - 1


def edited(round_: Round, config: Settings) -> RoundUpdate:
    """The round: its facts are placed, then their values are trained, with these in the place of the outputs."""
    watch, layers = round_.session.watch, round_.recipe.layers
    if len(layers) != 1:
        raise UserError(f'Lane "{round_.recipe.label}": GRACE has one layer, not {len(layers)}; give "layers": [6].')
    with watch.phase("keys"):
        lessons = [lesson(round_.lm, fact, teacher_forced=True, eos=config.eos) for fact in round_.facts]
        queries, outputs = states(round_, [one.ids[: one.reads[0] + 1] for one in lessons], layers[0])
        known = round_.state.memory.get(EPS)
        read = partial(queries_of, round_, layers[0])
        eps, notes = radius(round_, config, config.eps if known is None else float(known), queries, read)
    book = Book.of(round_.state.memory, round_.lm.d_ffn)
    places = [book.place(query, one.wanted, eps) for query, one in zip(queries, lessons, strict=True)]
    with watch.phase("values"):
        fit = trained(round_, config, book, places, lessons, outputs, layers[0])
    memory = written(round_.state.memory, book) | {LAYER: packed(layers[0]), EPS: torch.tensor([eps]).double()}
    added = len(book.keys) - book.first
    notes.append(f"{added} entries for {len(lessons)} facts; {len(book.keys)} in the codebook, ε = {eps:.3g}.")
    return remembered(memory, fit, notes=notes)


def queries_of(round_: Round, layer: int, rows: Sequence[Sequence[int]]) -> Float[Tensor, "n d_in"]:
    """What is looked up in the codebook for each row of ids."""
    return states(round_, rows, layer)[0]


def states(
    round_: Round, rows: Sequence[Sequence[int]], layer: int
) -> tuple[Float[Tensor, "n d_in"], Float[Tensor, "n d_out"]]:
    """The down-projection's input and output at the last token of each row, without any codebook."""
    lm, sites = round_.lm, [("key", layer), ("down", layer)]
    with lm.worn(round_.state.sums):
        found = activations_at(lm, rows, [len(row) - 1 for row in rows], sites, beat=round_.heartbeat)
    return found["key", layer], found["down", layer]


def trained(
    round_: Round,
    config: Settings,
    book: Book,
    places: Sequence[int],
    lessons: Sequence[Lesson],
    outputs: Float[Tensor, "b d_out"],
    layer: int,
) -> Fit:
    """Values of the placed entries are found and put into the book; the facts' losses.

    Each entry has Adam's moments of its own and takes steps until the losses of all its facts are below `stop_loss`.
    """
    lm, chosen = round_.lm, sorted(set(places))
    owner = torch.tensor([chosen.index(place) for place in places], device=lm.device)
    begin = torch.stack([start_of(book, entry, outputs[places.index(entry)], config, round_) for entry in chosen])
    size = torch.stack([outputs[places.index(entry)].norm() for entry in chosen])[:, None]
    adam = Adam(config.lr, torch.inf, config.relative_lr, lambda step: step)
    delta, active = torch.zeros_like(begin), torch.ones(len(chosen), dtype=torch.bool, device=lm.device)
    first, loss = torch.zeros(len(lessons)), torch.zeros(len(lessons))
    steps = torch.zeros(len(lessons), dtype=torch.int)
    with lm.worn(round_.state.sums):
        for number in range(config.steps):
            round_.tell("values", number + 1, config.steps)
            live = active[owner].nonzero()[:, 0].tolist()
            loss[live], slope = slopes(round_, begin + delta, owner, lessons, live, layer)
            if not bool(torch.isfinite(loss[live]).all()):
                raise EditFailure(f"The loss of a value became {float(loss[live].sum())} at step {number}. Lower lr.")
            first = loss.clone() if number == 0 else first
            steps[live] += 1
            behind = torch.zeros(len(chosen), device=lm.device).index_add(
                0, owner, (loss >= config.stop_loss).float().to(lm.device)
            )
            active = active & (behind > 0)
            if not bool(active.any()):
                break
            if number < config.steps - 1:
                delta = adam.step(delta, slope, size, active)
    for row, entry in enumerate(chosen):
        book.values[entry] = (begin + delta)[row].cpu()
    return Fit(first.double(), loss.double(), steps)


def start_of(
    book: Book, entry: int, output: Float[Tensor, " d_out"], config: Settings, round_: Round
) -> Float[Tensor, " d_out"]:
    """Where a value begins: what it was, the output that it replaces, or a random vector drawn by seed and entry."""
    if entry in book.values:
        return book.values[entry].to(output)
    if config.warm:
        return output
    random = torch.Generator().manual_seed(round_.session.seed * 1_000_003 + entry)
    return torch.rand(len(output), generator=random).to(output)


def slopes(
    round_: Round,
    values: Float[Tensor, "m d_out"],
    owner: Int[Tensor, " b"],
    lessons: Sequence[Lesson],
    live: Sequence[int],
    layer: int,
) -> tuple[Float[Tensor, " live"], Float[Tensor, "m d_out"]]:
    """Losses of the live facts, means over target tokens, and the gradient of their sum with regard to the values."""
    lm, slope = round_.lm, torch.zeros_like(values)
    loss = torch.zeros(len(live))
    for group in batches([len(lessons[i].ids) for i in live], lm.token_budget):
        round_.beat()
        members = [lessons[live[i]] for i in group]
        width = max(len(one.ids) for one in members)
        ends = torch.tensor([r * width + one.reads[0] for r, one in enumerate(members)], device=lm.device)
        entry = owner[torch.tensor([live[i] for i in group], device=lm.device)]
        given = values.detach().requires_grad_()

        def hook(_: Any, __: Any, output: Tensor, ends=ends, entry=entry, given=given) -> Tensor:
            return replaced(output, ends, given[entry])

        handle = lm.down(layer).register_forward_hook(hook)
        try:
            with torch.enable_grad():
                per_fact = row_losses(lm, members)
                slope += torch.autograd.grad(per_fact.sum(), given)[0]
        finally:
            handle.remove()
        loss[group] = per_fact.detach().float().cpu()
    return loss, slope


def written(before: Memory, book: Book) -> dict[str, Tensor]:
    """The blocks that the round adds, and earlier ones with entries that it changed."""
    starts = [*blocks(before, KEYS), *([book.first] if len(book.keys) > book.first else [])]
    ends = [*starts[1:], len(book.keys)]
    memory: dict[str, Tensor] = {}
    for first, last in zip(starts, ends, strict=True):
        if not book.touched.intersection(range(first, last)):
            continue
        if first == book.first:
            memory[block(KEYS, first)] = book.keys[first:last].to(book.values[first].dtype)  # as they were read
        memory[block(VALUES, first)] = torch.stack([book.values[entry] for entry in range(first, last)])
        memory[block(RADII, first)] = torch.tensor(book.radii[first:last], dtype=torch.float64)
        memory[block(LABELS, first)] = packed(book.labels[first:last])
    return memory
