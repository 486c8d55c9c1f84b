"""Tensors and what they are about, together in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

UNREADABLE = (SafetensorError, OSError, ValueError)  # what `read_tensors` raises for a file that is missing or damaged


def read_tensors(
    path: Path, device: torch.device | str = "cpu", names: Collection[str] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(the tensors of these names that are there, all of them by default; what the file says that they are about)."""
    with safe_open(path, framework="pt", device=str(device)) as file:
        held = [name for name in file.keys() if names is None or name in names]  # noqa: SIM118 (it has keys, and cannot be iterated)
        return {name: file.get_tensor(name) for name in held}, json.loads((file.metadata() or {}).get("about", "{}"))
