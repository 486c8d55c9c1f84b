"""A round of MELO: LoRA blocks for its facts, and the places of these in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.editing.extras.blocks import Memory, block, blocks, packed
from core.editing.extras.melo import SETTINGS, A, B, change
from core.editing.extras.routing import flat, moved
from core.editing.failure import EditFailure
from core.editing.lane.method import Round
from core.editing.lane.results import Fit, RoundUpdate
from core.editing.methods._clusters import Clusters
from core.editing.methods._fine_tuning import Lesson, lesson, row_losses
from core.editing.methods._radius import radius
from core.editing.rounds.remembered import remembered
from core.errors import UserError
from core.models.forward import activations_at
from core.models.language_model import LanguageModel
from core.models.passes import batches

EPS = "melo.eps"
Factors = dict[int, tuple[Float[Tensor, "g r d_in"], Float[Tensor, "g d_out r"]]]


@runtime_checkable
class Settings(Protocol):
    """The settings of `methods.melo.Melo` that are used here."""

    @property
    def eps(self) -> float | None: ...
    @property
    def rank(self) -> int: ...
    @property
    def per_block(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def halve(self) -> int: ...
    @property
    def stop_loss(self) -> float: ...
    @property
    def eos(self) -> bool: ...
    @property
    def context_seeds(self) -> str: ...
    def samples(self) -> tuple[tuple[int, int], ...]: ...


def edited(round_: Round, config: Settings) -> RoundUpdate:
    """The round: its facts are placed, then their blocks are trained, each switched on for its own facts."""
    watch, lm, layers, before = round_.session.watch, round_.lm, round_.recipe.layers, round_.state.memory
    if len(layers) < 2:
        raise UserError(
            f'Lane "{round_.recipe.label}": MELO needs a layer for its database and later ones for its blocks, such as'
            ' "layers": [4, 5, 6].'
        )
    with watch.phase("keys"):
        lessons = [lesson(lm, fact, teacher_forced=True, eos=config.eos) for fact in round_.facts]
        read = partial(queries_of, round_, layers[0])
        queries = read([one.ids[: one.reads[0] + 1] for one in lessons])
        known = before.get(EPS)
        eps, notes = radius(round_, config, config.eps if known is None else float(known), queries, read)
        first = adapters_in(before, layers)
        owner = [i // config.per_block for i in range(len(lessons))]
        book = Clusters.of(before, lm.d_model)
        for query, one, own in zip(queries, lessons, owner, strict=True):
            book.place(query, one.wanted, first + own, eps)
    with watch.phase("values"):
        factors, fit = trained(round_, config, lessons, owner, first)
    memory = book.written(before, queries.dtype)
    for layer, (a, b) in factors.items():
        memory |= {block(f"{A}.{layer}", first): a.cpu(), block(f"{B}.{layer}", first): b.cpu()}
    memory |= {SETTINGS: packed({"layers": list(layers)}), EPS: torch.tensor([eps], dtype=torch.float64)}
    alive = sum(radius_ >= 0 for radius_ in book.radii)
    notes.append(f"{max(owner) + 1} blocks for {len(lessons)} facts; {alive} clusters in the database, ε = {eps:.3g}.")
    return remembered(memory, fit, notes=notes)


def queries_of(round_: Round, layer: int, rows: Sequence[Sequence[int]]) -> Float[Tensor, "n d"]:
    """What is looked up in the database for each row of ids: the down-projection's output at its last token."""
    with round_.lm.worn(round_.state.sums):
        ends = [len(row) - 1 for row in rows]
        return activations_at(round_.lm, rows, ends, [("down", layer)], beat=round_.heartbeat)["down", layer]


def adapters_in(memory: Memory, layers: Sequence[int]) -> int:
    """The number of the next LoRA block."""
    parts = blocks(memory, f"{A}.{layers[-1]}")
    return max((first + len(part) for first, part in parts.items()), default=0)


def started(round_: Round, config: Settings, first: int, count: int) -> Factors:
    """New blocks: B = 0 and A uniform in ± 1/√d_in, drawn by the run's seed, the layer and the block's number."""
    lm, factors = round_.lm, {}
    for layer in round_.recipe.layers[1:]:
        d_out, d_in = round_.state.sums[layer].shape
        parts = []
        for number in range(first, first + count):
            random = torch.Generator().manual_seed((round_.session.seed * 1_000_003 + layer) * 1_000_003 + number)
            parts.append((2 * torch.rand(config.rank, d_in, generator=random) - 1) * d_in**-0.5)
        a = torch.stack(parts).to(lm.device, lm.master_dtype)
        factors[layer] = (a, a.new_zeros(count, d_out, config.rank))
    return factors


def trained(
    round_: Round, config: Settings, lessons: Sequence[Lesson], owner: Sequence[int], first: int
) -> tuple[Factors, Fit]:
    """The blocks after training, and the facts' losses. Blocks do not meet: each has the loss of its own facts, and
    steps until their mean is below `stop_loss`."""
    lm, count = round_.lm, max(owner) + 1
    factors = started(round_, config, first, count)
    params = [part.requires_grad_() for pair in factors.values() for part in pair]
    adam = torch.optim.Adam(params, lr=config.lr)
    slower = torch.optim.lr_scheduler.StepLR(adam, config.halve, 0.5)
    owners = torch.tensor(owner)
    sizes = torch.bincount(owners, minlength=count).float()
    active = torch.ones(count, dtype=torch.bool)
    start, loss, steps = torch.zeros(len(lessons)), torch.zeros(len(lessons)), torch.zeros(len(lessons)).int()
    with lm.worn(round_.state.sums):
        for number in range(config.steps):
            round_.tell("values", number + 1, config.steps)
            live = active[owners].nonzero()[:, 0].tolist()
            adam.zero_grad()
            loss[live] = graded(round_, factors, lessons, owners, sizes, live)
            if not bool(torch.isfinite(loss[live]).all()):
                raise EditFailure(f"The loss of a block became {float(loss[live].sum())} at step {number}. Lower lr.")
            start = loss.clone() if number == 0 else start
            steps[live] += 1
            active &= torch.zeros(count).index_add(0, owners, loss) / sizes >= config.stop_loss
            if not bool(active.any()):
                break
            done = (~active).nonzero()[:, 0].to(lm.device)
            kept = [part.detach()[done].clone() for part in params]
            adam.step()
            slower.step()
            with torch.no_grad():
                for part, old in zip(params, kept, strict=True):
                    part[done] = old
    return {n: (a.detach(), b.detach()) for n, (a, b) in factors.items()}, Fit(start.double(), loss.double(), steps)


def graded(
    round_: Round,
    factors: Factors,
    lessons: Sequence[Lesson],
    owners: Int[Tensor, " b"],
    sizes: Float[Tensor, " g"],
    live: Sequence[int],
) -> Float[Tensor, " live"]:
    """Losses of the live facts; the gradient of the sum over blocks of their mean loss is added to the factors."""
    lm, loss = round_.lm, torch.zeros(len(live))
    for group in batches([len(lessons[i].ids) for i in live], lm.token_budget):
        round_.beat()
        members = [live[i] for i in group]
        rows = [lessons[i] for i in members]
        with torch.enable_grad(), switched(lm, factors, rows, owners[members]):
            per_fact = row_losses(lm, rows)
            (per_fact / sizes[owners[members]].to(per_fact)).sum().backward()
        loss[group] = per_fact.detach().float().cpu()
    return loss


@contextmanager
def switched(lm: LanguageModel, factors: Factors, rows: Sequence[Lesson], owner: Int[Tensor, " n"]) -> Iterator[None]:
    """The pass over these rows has the block of each row on, from the end of its prompt on."""
    width = max(len(one.ids) for one in rows)
    at = torch.tensor([r * width + read for r, one in enumerate(rows) for read in one.reads], device=lm.device)
    own = torch.tensor([int(owner[r]) for r, one in enumerate(rows) for _ in one.reads], device=lm.device)

    def adapt(a: Tensor, b: Tensor) -> Callable[..., Tensor]:
        def hook(_: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return moved(output, at, change(flat(args[0])[at], a[own], b[own]))

        return hook

    with ExitStack() as stack:
        for layer, (a, b) in factors.items():
            stack.callback(lm.down(layer).register_forward_hook(adapt(a, b)).remove)
        yield
