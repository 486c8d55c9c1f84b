"""Reads tensors and their metadata from one safetensors file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.json_text import JsonError, loads


class Unreadable(ValueError):
    """The reason why a file of tensors cannot be read. The caller adds its path to the message."""


def read_tensors(
    path: Path, device: torch.device | str = "cpu", names: Collection[str] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(the tensors of the given names that the file has, by default all; the metadata `about`).

    Raises `Unreadable` for a file that is missing or damaged.
    """
    with opened(path, device) as (file, about):
        held = [name for name in file.keys() if names is None or name in names]  # noqa: SIM118 (it has keys, and cannot be iterated)
        return {name: file.get_tensor(name) for name in held}, about


def described(path: Path) -> tuple[dict[str, tuple[str, list[int]]], dict[str, Any]]:
    """(dtype and shape of each tensor by its name, the metadata `about`), without reading the tensors.

    Raises `Unreadable` for a file that is missing or damaged.
    """
    with opened(path) as (file, about):
        parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return {name: (part.get_dtype(), part.get_shape()) for name, part in parts.items()}, about


@contextmanager
def opened(path: Path, device: torch.device | str = "cpu") -> Iterator[tuple[Any, dict[str, Any]]]:
    """(the open file, its metadata `about`). Raises `Unreadable`."""
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            about = loads((file.metadata() or {}).get("about", "{}"), nan=True)
            if not isinstance(about, dict):
                raise Unreadable("what it says about itself is damaged")
            yield file, about
    except Unreadable:
        raise
    except FileNotFoundError:
        raise Unreadable("it is not there") from None
    except OSError as error:
        raise Unreadable(error.strerror or "it cannot be opened") from None
    except (SafetensorError, JsonError, ValueError, KeyError, AttributeError):
        raise Unreadable("it is cut off or damaged") from None


def factors(tensors: dict[str, Tensor], left: str, right: str) -> tuple[Tensor, Tensor]:
    """The factors left [d_out, r] and right [d_in, r] of these names. Raises `Unreadable` if they are not a pair."""
    try:
        left_factor, right_factor = tensors[left], tensors[right]
    except KeyError as error:
        raise Unreadable(f"it lacks {error.args[0]}") from None
    if (
        left_factor.ndim != 2
        or right_factor.ndim != 2
        or left_factor.shape[1] != right_factor.shape[1]
        or not left_factor.is_floating_point()
    ):
        raise Unreadable(f"{left} and {right} do not belong together")
    if left_factor.dtype != right_factor.dtype:
        raise Unreadable(f"{left} and {right} are of two types")
    return left_factor, right_factor
