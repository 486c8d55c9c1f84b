"""Low-rank blocks that are on for some prompts: a database at one layer says which, later layers have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from core.editing.extras.blocks import Memory, block, blocks, unpacked
from core.editing.extras.grace import distances
from core.editing.extras.routing import NONE, decide, flat, moved, routed
from core.models.worn import Extra

KEYS, MEMBERS = "melo.keys", "melo.members"  # blocks of points: [b, d_out]; [b, 2], the cluster and the LoRA block
LABELS, CENTERS, RADII = "melo.labels", "melo.centers", "melo.radii"  # blocks of clusters
A, B = "melo.a", "melo.b"  # blocks of LoRA blocks by layer: "melo.a.5"; [g, r, d_in] and [g, d_out, r]
SETTINGS = "melo.settings"  # {"layers", "radius"}
NAME = "melo"  # of the decision


@dataclass(frozen=True)
class Database:
    """Clusters of points. `cluster` [n] is a point's place among the centers, −1 for one that was forgotten; `block`
    [n] that of its LoRA block."""

    centers: Float[Tensor, "c d"]
    radii: Float[Tensor, " c"]
    keys: Float[Tensor, "n d"]
    cluster: Int[Tensor, " n"]
    block: Int[Tensor, " n"]

    def to(self, device: torch.device) -> Database:
        """On a device, distances in float64."""
        parts = (self.centers.double(), self.radii.double(), self.keys.double(), self.cluster, self.block)
        return Database(*(part.to(device) for part in parts))

    def chosen(self, queries: Float[Tensor, "q d"]) -> Int[Tensor, " q"]:
        """The LoRA block of each query: within the radius of the nearest center that of the cluster's nearest point;
        else none."""
        branch = torch.full((len(queries),), NONE, dtype=torch.long, device=queries.device)
        if not len(queries) or not len(self.centers):
            return branch
        gap, near = torch.where(self.radii < 0, torch.inf, distances(queries, self.centers)).min(1)
        (inside,) = (gap <= self.radii[near]).nonzero(as_tuple=True)
        if len(inside):
            own = self.cluster[None, :] == near[inside][:, None]
            least, point = torch.where(own, distances(queries[inside], self.keys), torch.inf).min(1)
            branch[inside] = torch.where(least.isfinite(), self.block[point], NONE)
        return branch


class Adapters(Extra):
    """The output of one down-projection at a prompt's end is looked up; the block that is found adds B A x to the
    outputs x of the down-projections of later layers, there and at all tokens that follow."""

    def __init__(
        self,
        layers: tuple[int, ...],
        database: Database,
        a: Mapping[int, Float[Tensor, "g r d_in"]],
        b: Mapping[int, Float[Tensor, "g d_out r"]],
    ):
        self.database, self.a, self.b = database, a, b
        self.at, self.adapted = layers[0], layers[1:]
        self.layers = layers if len(database.keys) else ()

    @classmethod
    def of(cls, memory: Mapping[str, Tensor]) -> Adapters:
        """Those of a lane's memory. What a left-out round founded is missing, whatever a later round did to it."""
        layers = tuple(unpacked(memory[SETTINGS])["layers"])
        a, b = ({layer: stacked(memory, f"{kind}.{layer}")[1] for layer in layers[1:]} for kind in (A, B))
        return cls(layers, database(memory, stacked(memory, f"{A}.{layers[-1]}")[0]), a, b)

    def hooks(self, lm: Any) -> list[RemovableHandle]:
        """One hook for the database, then one a layer of blocks."""
        if not self.layers:
            return []
        known = self.database.to(lm.device)
        alone: list[Tensor | None] = [None]  # the branches of the tokens of the present pass, over plain text

        def look(_: Any, __: Any, output: Tensor) -> None:
            alone[0] = decide(lm, NAME, flat(output), known.chosen)

        def adapt(layer: int) -> Callable[..., Tensor | None]:
            a, b = self.a[layer].to(lm.device), self.b[layer].to(lm.device)

            def hook(_: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
                at, block = routed(lm, NAME, alone[0])
                return moved(output, at, change(flat(args[0])[at], a[block], b[block])) if len(at) else None

            return hook

        return [
            lm.down(self.at).register_forward_hook(look, prepend=True),
            *(lm.down(layer).register_forward_hook(adapt(layer), prepend=True) for layer in self.adapted),
        ]


def change(
    inputs: Float[Tensor, "m d_in"], a: Float[Tensor, "m r d_in"], b: Float[Tensor, "m d_out r"]
) -> Float[Tensor, "m d_out"]:
    """B A x of each token, with the factors of its block."""
    return torch.einsum("mor,mr->mo", b, torch.einsum("mri,mi->mr", a, inputs.to(a.dtype)))


def stacked(memory: Memory, kind: str) -> tuple[list[int], Tensor]:
    """The numbers of the items of a kind, and the items one below the other."""
    parts = blocks(memory, kind)
    numbers = [first + i for first, part in parts.items() for i in range(len(part))]
    return numbers, torch.cat(list(parts.values())) if parts else torch.zeros(0)


def database(memory: Memory, adapters: list[int]) -> Database:
    """The database of a memory: clusters whose founding round, and points whose own round and LoRA block are there."""
    numbers = [first + i for first, part in blocks(memory, LABELS).items() for i in range(len(unpacked(part)))]
    place_of = {number: place for place, number in enumerate(numbers)}
    block_of = {number: place for place, number in enumerate(adapters)}
    centers = [memory[block(CENTERS, first)] for first in blocks(memory, LABELS)]
    radii = [memory[block(RADII, first)] for first in blocks(memory, LABELS)]
    keys, cluster, adapter = [], [], []
    for first, part in blocks(memory, KEYS).items():
        keys.append(part)
        for of_cluster, of_block in memory[block(MEMBERS, first)].tolist():
            cluster.append(place_of.get(of_cluster, NONE) if of_block in block_of else NONE)
            adapter.append(block_of.get(of_block, NONE))
    if not keys or not centers:
        return Database(torch.zeros(0, 1), torch.zeros(0), torch.zeros(0, 1), *(torch.zeros(0).long(),) * 2)
    lists = torch.tensor(cluster), torch.tensor(adapter)
    return Database(torch.cat(centers), torch.cat(radii), torch.cat(keys), *lists)


EXTRA = Adapters
