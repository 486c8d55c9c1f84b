"""MELO's database while it is edited: clusters of points with one target each."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.extras.blocks import Memory, block, blocks, packed, unpacked
from core.editing.extras.grace import distances
from core.editing.extras.melo import CENTERS, KEYS, LABELS, MEMBERS, RADII
from core.editing.methods._radius import SAME

APART = 1 - 1e-5  # so that the balls of two targets do not touch
FORGOTTEN = -1  # in place of a point's cluster
EMPTY = -1.0  # the radius of a cluster without points


@dataclass
class Clusters:
    """Points (key, cluster, LoRA block) and clusters (center, radius, target as ids), numbered from 0; `points` and
    `founded` are their numbers before the round, the touched ones those that it changes."""

    keys: Float[Tensor, "n d"]
    members: list[list[int]]
    centers: Float[Tensor, "c d"]
    radii: list[float]
    labels: list[list[int]]
    points: int = 0
    founded: int = 0
    touched_points: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, memory: Memory, d: int) -> Clusters:
        """The clusters of a lane's memory."""

        def rows(kind: str) -> Float[Tensor, "n d"]:
            return torch.cat([torch.zeros(0, d).double(), *(p.cpu().double() for p in blocks(memory, kind).values())])

        keys, centers = rows(KEYS), rows(CENTERS)
        members = [row for part in blocks(memory, MEMBERS).values() for row in part.tolist()]
        radii = [radius for part in blocks(memory, RADII).values() for radius in part.tolist()]
        labels = [label for part in blocks(memory, LABELS).values() for label in unpacked(part)]
        return cls(keys, members, centers, radii, labels, len(keys), len(centers))

    def place(self, query: Float[Tensor, " d"], label: list[int], adapter: int, eps: float) -> int:
        """The cluster of a fact that this LoRA block answers, by MELO's rules."""
        query = query.double().cpu()
        self._forget_repeat(query)
        alive = [number for number, radius in enumerate(self.radii) if radius >= 0]
        if not alive:
            return self._found(query, label, adapter, eps)
        gap, nearest = (float(value) for value in distances(query[None], self.centers[alive]).min(1))
        number = alive[int(nearest)]
        if gap > self.radii[number] + eps:
            return self._found(query, label, adapter, eps)
        if label == self.labels[number]:
            self._point(query, number, adapter)
            self._drawn(number, eps)
            return number
        self.radii[number] = min(self.radii[number], gap / 2 * APART)
        for point in self._of(number):
            if float((self.keys[point] - self.centers[number]).norm()) > self.radii[number]:
                self._forget(point)
        self.touched.add(number)
        self._close(number)
        return self._found(query, label, adapter, gap / 2)

    def _of(self, number: int) -> list[int]:
        return [point for point, (cluster, _) in enumerate(self.members) if cluster == number]

    def _point(self, query: Float[Tensor, " d"], number: int, adapter: int) -> None:
        self.keys = torch.cat([self.keys, query[None]])
        self.members.append([number, adapter])
        self.touched_points.add(len(self.members) - 1)

    def _found(self, query: Float[Tensor, " d"], label: list[int], adapter: int, radius: float) -> int:
        number = len(self.radii)
        self.centers = torch.cat([self.centers, query[None]])
        self.radii.append(radius)
        self.labels.append(label)
        self.touched.add(number)
        self._point(query, number, adapter)
        return number

    def _drawn(self, number: int, eps: float) -> None:
        """The center becomes the mean of the cluster's points, the radius reaches the farthest, and is ε at least."""
        own = self.keys[self._of(number)]
        self.centers[number] = own.mean(0)
        self.radii[number] = max(float((own - self.centers[number]).norm(dim=1).max()), eps)
        self.touched.add(number)

    def _forget_repeat(self, query: Float[Tensor, " d"]) -> None:
        if not len(self.keys):
            return
        near = distances(query[None], self.keys)[0] <= SAME * float(query.norm())
        for point in near.nonzero()[:, 0].tolist():
            number = self.members[point][0]
            if number != FORGOTTEN:
                self._forget(point)
                self._close(number)

    def _forget(self, point: int) -> None:
        self.members[point] = [FORGOTTEN, self.members[point][1]]
        self.touched_points.add(point)

    def _close(self, number: int) -> None:
        """A cluster without points is none."""
        if not self._of(number):
            self.radii[number] = EMPTY
            self.touched.add(number)

    def written(self, before: Memory, dtype: torch.dtype) -> dict[str, Tensor]:
        """The blocks that the round adds, and earlier ones with points or clusters that it changed."""
        memory: dict[str, Tensor] = {}
        for first, last in spans(before, KEYS, self.points, len(self.members)):
            if first == self.points:
                memory[block(KEYS, first)] = self.keys[first:last].to(dtype)  # as they were read
            if self.touched_points.intersection(range(first, last)):
                memory[block(MEMBERS, first)] = torch.tensor(self.members[first:last])
        for first, last in spans(before, LABELS, self.founded, len(self.radii)):
            if first == self.founded:
                memory[block(LABELS, first)] = packed(self.labels[first:last])
            if self.touched.intersection(range(first, last)):
                memory[block(CENTERS, first)] = self.centers[first:last].clone()
                memory[block(RADII, first)] = torch.tensor(self.radii[first:last], dtype=torch.float64)
        return memory


def spans(before: Memory, kind: str, known: int, count: int) -> list[tuple[int, int]]:
    """(number of the first item, of the first item after it) of each block: the earlier ones and the round's own."""
    starts = [*blocks(before, kind), *([known] if count > known else [])]
    return list(zip(starts, [*starts[1:], count], strict=True))
