"""Packing: rows of few tokens share lanes of one width, so that a pass has hardly any padding.

A lane holds the tokens of several rows one after another, and before them the stored keys and values of what stands
before each row's cut. The mask lets a row's tokens attend to that row alone, and positions are those in the row. The
numbers are those of separate rows, up to rounding. A model that does not take such masks has one row in a lane.

Shapes: b lanes, s new tokens of a lane, p stored tokens before them (padded left), n rows, d the model's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from core.models.language_model import LanguageModel
from core.models.passes import takes_prefix_trees
from core.models.prefix_tree import TREE_TOKENS, additive

BATCH_COST = 48  # tokens of padding that are worth one batch less
STORED = 16  # stored tokens that may take part in a pass for each new one: they take memory, but hardly any time


@dataclass(frozen=True)
class Row:
    """A row of ids; δ of its `owner` is added at token `cut`; logits are wanted after the tokens `reads` (>= cut)."""

    ids: tuple[int, ...]
    cut: int
    owner: int
    reads: tuple[int, ...]

    @property
    def after(self) -> int:
        """Tokens from the cut on."""
        return len(self.ids) - self.cut


@dataclass(frozen=True)
class Start:
    """What is stored of a row's first pass: keys and values of the layers above the edited one, before the cut,
    [head, token, d_head], and the residual stream from the cut on, [token, d]."""

    above: list[tuple[Tensor, Tensor]]
    hidden: Tensor


@dataclass(frozen=True)
class Place:
    """Where a row is: its lane, the first of its stored tokens (counted from the lane's first one that is not padding),
    and its first new token."""

    lane: int
    stored: int
    new: int


@dataclass
class Lane:
    """Rows that follow one another, by their index in the caller's list."""

    rows: list[int]
    stored: int = 0
    new: int = 0


@dataclass
class RowBatch:
    """Rows that are run together.

    `rows` says to which of the caller's rows each of the batch's rows belongs, `cuts` where it begins: (lane, token).
    `reads` are (lane, token) too, and `read_rows` says to which of the batch's rows each read belongs.
    """

    rows: list[int]
    owners: Int[Tensor, " n"]
    ids: Int[Tensor, "b s"]
    mask: Int[Tensor, "b p_and_s"] | Float[Tensor, "b 1 s p_and_s"]
    positions: Int[Tensor, "b s"]
    hidden: Float[Tensor, "b s d"]
    past: list[tuple[Tensor, Tensor]]
    cuts: tuple[Int[Tensor, " n"], Int[Tensor, " n"]]
    reads: tuple[Int[Tensor, " m"], Int[Tensor, " m"]]
    read_rows: Int[Tensor, " m"]
    stored: list[int]  # where each row's stored tokens begin in its lane
    in_tuple: bool  # whether the model's layers return a tuple

    def as_output(self, hidden: Tensor) -> Tensor | tuple[Tensor]:
        """A layer's output with this residual stream."""
        return (hidden,) if self.in_tuple else hidden

    def at_cuts(self, states: Float[Tensor, "b s d"]) -> Float[Tensor, "n d"]:
        """The states at the rows' cuts."""
        return states[self.cuts]

    def added(self, states: Float[Tensor, "b s d"], change: Float[Tensor, "n d"]) -> Float[Tensor, "b s d"]:
        """The states with a change at each row's cut."""
        return states.index_put(self.cuts, change.to(states.dtype), accumulate=True)

    def starts(self, rows: Sequence[Row], layer: int) -> dict[int, Start]:
        """What is stored of each row, by its index in the caller's list: views of the batch's tensors."""
        result = {}
        for index, lane, new, stored in zip(self.rows, *(at.tolist() for at in self.cuts), self.stored, strict=True):
            row = rows[index]
            before = slice(stored, stored + row.cut)
            above = [(keys[lane, :, before], values[lane, :, before]) for keys, values in self.past[layer + 1 :]]
            result[index] = Start(above, self.hidden[lane, new : new + row.after])
        return result


def packed(lm: LanguageModel, rows: Sequence[Row], some: Sequence[int], budget: int) -> list[list[Lane]]:
    """These rows in lanes, and the lanes in batches of similar size with at most `budget` new tokens each."""
    lanes = filled(rows, some, several=takes_prefix_trees(lm, max((len(rows[i].ids) for i in some), default=0)))
    return batched(lanes, budget)


def filled(rows: Sequence[Row], some: Sequence[int], several: bool) -> list[Lane]:
    """Lanes with these rows, no more new tokens in one than the longest row has: each row, longest first, goes into
    the first lane with room for it. A lane's tokens, stored and new, are at most `TREE_TOKENS`, unless one row has
    more."""
    order = sorted(some, key=lambda i: (-rows[i].after, rows[i].cut, i))
    width = rows[order[0]].after if order else 0
    lanes: list[Lane] = []
    open_: list[Lane] = []
    for index in order:
        row = rows[index]
        room = (
            lane
            for lane in open_
            if lane.new + row.after <= width and lane.stored + lane.new + len(row.ids) <= TREE_TOKENS
        )
        lane = next(room, None)
        if lane is None:
            lane = Lane([])
            lanes.append(lane)
            open_ += [lane] if several else []
        lane.rows.append(index)
        lane.stored, lane.new = lane.stored + row.cut, lane.new + row.after
        if several and lane.new == width:
            open_.remove(lane)
    return lanes


def batched(lanes: Sequence[Lane], budget: int) -> list[list[Lane]]:
    """Lanes in batches, the widest first: padding costs less than another batch would, and batches are about equal."""
    order = sorted(lanes, key=lambda lane: (-lane.new, lane.stored))
    whole = sum(lane.new for lane in order)
    count = -(-whole // budget)
    limit = min(budget, whole // count + order[0].new) if order else budget
    batches: list[list[Lane]] = []
    padding = stored = 0
    for lane in order:
        last = batches[-1] if batches else []
        wide = last[0].new if last else 0
        padding, stored = padding + wide - lane.new, max(stored, lane.stored)
        many = len(last) + 1
        if not last or padding > BATCH_COST or many * wide > limit or many * stored > STORED * budget:
            batches.append([])
            padding, stored = 0, lane.stored
        batches[-1].append(lane)
    return batches


def row_batch(
    lm: LanguageModel,
    rows: Sequence[Row],
    starts: dict[int, Start],
    lanes: Sequence[Lane],
    layer: int,
    in_tuple: bool,
) -> RowBatch:
    """Lanes as a batch."""
    before, after = max(lane.stored for lane in lanes), max(lane.new for lane in lanes)
    places: dict[int, Place] = {}
    ids = torch.zeros(len(lanes), after, dtype=torch.long)
    positions = torch.zeros_like(ids)
    seen = torch.eye(after, dtype=torch.bool).repeat(len(lanes), 1, 1)
    seen = F.pad(seen, (before, 0))
    for number, lane in enumerate(lanes):
        stored, new = before - lane.stored, 0
        for index in lane.rows:
            row, end = rows[index], new + rows[index].after
            places[index] = Place(number, stored, new)
            ids[number, new:end] = torch.tensor(row.ids[row.cut :])
            positions[number, new:end] = torch.arange(row.cut, len(row.ids))
            seen[number, new:end, stored : stored + row.cut] = True
            seen[number, new:end, before + new : before + end] = torch.ones(row.after, row.after).tril().bool()
            stored, new = stored + row.cut, end
        positions[number, new:] = positions[number, new - 1]
    alone = all(len(lane.rows) == 1 for lane in lanes)
    # Padding on the right of a single row needs no mask: nothing before it can see it.
    mask = F.pad(seen[:, 0, :before], (0, after), value=True).long() if alone else additive(seen, lm.dtype)

    def joined(states: Sequence[Tensor]) -> Tensor:
        whole = torch.cat(list(states), 1)
        return F.pad(whole, (0, 0, before - whole.shape[1], 0))

    # Layers up to `layer` are skipped later and need no keys; the model still asks for their length.
    nothing = torch.empty(len(lanes), 1, before, 0, device=lm.device, dtype=lm.dtype)
    own = [[starts[index] for index in lane.rows] for lane in lanes]
    above = [
        (
            torch.stack([joined([start.above[n][0] for start in lane]) for lane in own]),
            torch.stack([joined([start.above[n][1] for start in lane]) for lane in own]),
        )
        for n in range(lm.n_layers - layer - 1)
    ]
    hidden = [torch.cat([start.hidden for start in lane]) for lane in own]
    at = list(places.values())
    reads = [
        (r, place.lane, place.new + token - rows[index].cut)
        for r, (index, place) in enumerate(places.items())
        for token in rows[index].reads
    ]

    def whole_numbers(numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.long, device=lm.device)

    return RowBatch(
        rows=list(places),
        owners=whole_numbers([rows[index].owner for index in places]),
        ids=ids.to(lm.device),
        mask=mask.to(lm.device),
        positions=positions.to(lm.device),
        hidden=torch.stack([F.pad(states, (0, 0, 0, after - len(states))) for states in hidden]),
        past=[(nothing, nothing)] * (layer + 1) + above,
        cuts=(whole_numbers([place.lane for place in at]), whole_numbers([place.new for place in at])),
        reads=(whole_numbers([lane for _, lane, _ in reads]), whole_numbers([token for _, _, token in reads])),
        read_rows=whole_numbers([r for r, _, _ in reads]),
        stored=[place.stored for place in at],
        in_tuple=in_tuple,
    )
