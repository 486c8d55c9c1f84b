"""Extras of lanes, one file each: what a lane wears besides matrices, made from the lane's memory.

A module exports as EXTRA a class with `of(memory)`: the extra that the tensors named "NAME.…" describe, NAME being the
module's name. Everything that is needed to wear it lies in the memory, settings included.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from torch import Tensor

from core.models.worn import Extra

KINDS = ("grace", "icl", "melo", "scr", "serac", "wise")  # in the order in which they are put on; memories hold more


def extras(memory: Mapping[str, Tensor]) -> tuple[Extra, ...]:
    """The extras that a lane's memory describes; none for most."""
    present = {name.partition(".")[0] for name in memory}
    return tuple(import_module(f"{__name__}.{kind}").EXTRA.of(memory) for kind in KINDS if kind in present)
