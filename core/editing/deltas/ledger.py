"""The ledger: the updates of every round, as low-rank factors on disk. Any earlier state of a lane is rebuilt from
it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.editing.lane.state import LaneState, LayerUpdates
from core.editing.linalg.lowrank import LowRank
from core.errors import UserError, shown
from core.json_text import JsonError, loads
from core.models.language_model import LanguageModel
from core.tensor_files import Unreadable, factors, read_tensors

RESTORE = "restore the file from a copy, or make the run anew"
MEMORY = "memory."  # before the names of what an editor left for later rounds
BRANCH = "branch.json"  # in a lane's folder: the parent lane and round of a branch


class Ledger:
    """Rounds of lanes in a folder: one file per lane and round, written atomically."""

    def __init__(self, folder: Path):
        self.folder = folder

    def append(self, lane: str, round_: int, update: LayerUpdates) -> Path:
        """Write a round. An existing file of the round is replaced (a resumed run writes the same again)."""
        tensors: dict[str, Tensor] = {}
        for layer, delta in update.updates.items():
            tensors |= _factors("", layer, delta)
            tensors[f"keys.{layer}"] = update.keys[layer].cpu().contiguous()
            raw = update.raw.get(layer, delta)
            if not _same(raw, delta):
                tensors |= _factors("raw.", layer, raw)
        for layer, correction in update.corrections.items():
            tensors |= _factors("correction.", layer, correction)
        for name in ("start", "target"):
            if (value := getattr(update, name)) is not None:
                tensors[name] = value.cpu().contiguous()
        tensors |= {MEMORY + name: value.cpu().contiguous() for name, value in update.memory.items()}
        about = {"lane": lane, "round": round_, "layers": list(update.updates)}
        about |= {"alone": True} if update.alone else {}
        path = self.path(lane, round_)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.part")
        save_file(tensors, draft, metadata={"about": json.dumps(about)})
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
        return path

    def branch(self, lane: str, parent: str, round_: int) -> None:
        """Let a lane begin with the state of `parent` after a round. It shares the rounds up to that one."""
        path = self.lane_folder(lane) / BRANCH
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.part")
        draft.write_text(json.dumps({"lane": parent, "round": round_}), encoding="utf-8")
        os.replace(draft, path)

    def origin(self, lane: str) -> tuple[str, int] | None:
        """(parent, round) of a lane that branched from another; None for one that began with the unedited model."""
        path = self.lane_folder(lane) / BRANCH
        try:
            about = loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (JsonError, UnicodeDecodeError):
            about = None
        match about:
            case {"lane": str(parent), "round": int(round_)} if parent != lane:
                return parent, round_
        raise UserError(f'{path}: does not say where lane "{lane}" begins; {RESTORE}.')

    def holder(self, lane: str, round_: int) -> str:
        """The lane that edited a round of this one: itself, or one that it branched from."""
        origin = self.origin(lane)
        return lane if origin is None or round_ > origin[1] else self.holder(origin[0], round_)

    def rounds(self, lane: str) -> list[int]:
        """The rounds of a lane, ascending, including those before it branched."""
        files = self.lane_folder(lane).glob("*.safetensors")
        own = sorted(int(path.stem) for path in files if path.stem.isascii() and path.stem.isdigit())
        origin = self.origin(lane)
        if origin is None:
            return own
        parent, start = origin
        return [n for n in self.rounds(parent) if n <= start] + [n for n in own if n > start]

    def read(self, lane: str, round_: int, device: torch.device | str = "cpu") -> LayerUpdates:
        """One round. Raises `UserError` for a file that is missing, damaged or of another lane or round."""
        read, about = self._contents(lane, round_, device)
        # Copied: the alignment of the file's bytes in memory may change a product's last bit.
        tensors = {name: tensor.clone() for name, tensor in read.items()}
        try:
            return replace(_updates(tensors, about["layers"]), alone=about.get("alone") is True)
        except Unreadable as error:
            raise unread(lane, round_, self.path(lane, round_), error) from None

    def layers(self, lane: str, round_: int) -> list[int]:
        """The layers that a round edited, ascending: a method may choose others in each round. Raises as `read`
        does."""
        return sorted(self._contents(lane, round_, "cpu", names=())[1]["layers"])

    def _contents(
        self, lane: str, round_: int, device: torch.device | str, names: Collection[str] | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """A round's file: its tensors (those in `names`, or all), and its metadata."""
        path, holder = self.path(lane, round_), self.holder(lane, round_)
        try:
            read, about = read_tensors(path, device, names)
        except Unreadable as error:
            raise unread(lane, round_, path, error) from None
        if (about.get("lane"), about.get("round")) != (holder, round_):
            raise UserError(f'{path} should hold round {round_} of lane "{holder}" but holds {shown(about)}.')
        layers = about.get("layers")
        if not isinstance(layers, list) or not all(type(layer) is int and layer >= 0 for layer in layers):
            raise unread(lane, round_, path, Unreadable("it does not say which layers it changes"))
        return read, about

    def rebuild(
        self,
        lm: LanguageModel,
        lane: str,
        layers: Sequence[int],
        upto: int | None = None,
        without: Collection[int] = (),
        worn: Callable[[str, Mapping[int, Tensor]], Mapping[int, Tensor]] | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> LaneState:
        """The lane after round `upto` (default: the last), bit for bit as it was live; `without` some rounds, to undo
        them.

        A branch has the layers of its parent's rounds in addition to its own `layers`. Corrections depend on the sum of
        all earlier rounds. If one of those is left out, they are computed again: `worn(lane, sums)` gives the matrices
        that a lane uses instead of the sums; it is called with the lane that made the last round. Raises `UserError` if
        it is needed and missing. `beat` is called before each round; it may raise.
        """
        state, left_out, last = LaneState.base(lm, layers), None, None
        for round_ in self._between(lane, 0, upto):
            if round_ in without:
                left_out = round_
                continue
            beat()
            update = self.read(lane, round_, lm.device)
            if left_out is not None:
                if update.corrections and worn is None:
                    raise UserError(
                        f'Lane "{lane}" has a guard of the accumulated change, so round {left_out} cannot be left out'
                        f" and round {round_} kept: undo round {round_} as well."
                    )
                update, last = replace(update, corrections={}), round_
            self.ready(lm, state, update).apply(update)
        if worn is not None and last is not None:
            state.weights = {**state.sums, **worn(self.holder(lane, last), state.sums)}
        return state

    def replay(
        self,
        lm: LanguageModel,
        lane: str,
        state: LaneState,
        after: int = 0,
        upto: int | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, LayerUpdates]]:
        """Apply the rounds of a lane after `after`, up to `upto`, to `state`; yields (round, its update) after each.
        `beat` is called before each round; it may raise."""
        for round_ in self._between(lane, after, upto):
            beat()
            update = self.read(lane, round_, lm.device)
            self.ready(lm, state, update).apply(update)
            yield round_, update

    def _between(self, lane: str, after: int, upto: int | None) -> list[int]:
        """The rounds that lead from one to another. A round that was edited alone needs none of those before it."""
        rounds = [n for n in self.rounds(lane) if n > after and (upto is None or n <= upto)]
        alone = rounds and self._contents(lane, rounds[-1], "cpu", names=())[1].get("alone") is True
        return rounds[-1:] if alone else rounds

    @staticmethod
    def ready(lm: LanguageModel, state: LaneState, update: LayerUpdates) -> LaneState:
        """The state for an update to be applied to: with the unedited matrices of layers that it edits for the first
        time; for a round that was edited alone, the unedited model. Raises `UserError` for an update of another
        model."""
        if update.alone:
            state.restore(lm)
        for layer, delta in update.updates.items():
            shape = (len(delta.left), len(delta.right))
            if layer >= lm.n_layers or shape != tuple(lm.original(layer).shape):
                raise UserError(
                    f"The ledger changes layer {layer} by a matrix of {shape[0]} x {shape[1]}, which {lm.reference}"
                    f" does not have there: it is another model's, or damaged; {RESTORE}."
                )
        new = [layer for layer in update.updates if layer not in state.weights]
        if new:
            base = LaneState.base(lm, new)
            state.weights |= base.weights
            state.history |= base.history
            state.sums |= base.sums
        return state

    def delete(self, lane: str, after: int = 0) -> None:
        """Delete the rounds of a lane after `after`; by default all of them, and its origin."""
        if after == 0:
            shutil.rmtree(self.lane_folder(lane), ignore_errors=True)
        for path in self.lane_folder(lane).glob("*.safetensors"):
            if path.stem.isdigit() and int(path.stem) > after:
                path.unlink()

    def path(self, lane: str, round_: int) -> Path:
        """The file of a round."""
        return self.lane_folder(self.holder(lane, round_)) / f"{round_:06d}.safetensors"

    def lane_folder(self, lane: str) -> Path:
        """A lane's folder: its label, as far as file names allow it, and a hash that distinguishes similar labels."""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", lane).strip("-").lower()[:40]
        return self.folder / f"{readable}-{hashlib.sha256(lane.encode()).hexdigest()[:8]}"


def unread(lane: str, round_: int, path: Path, why: Exception) -> UserError:
    """The error for a round whose file cannot be read."""
    return UserError(f'Round {round_} of lane "{lane}" cannot be read from {path}: {why}; {RESTORE}.')


def _updates(tensors: dict[str, Tensor], layers: Sequence[int]) -> LayerUpdates:
    """The content of a round's file. Raises `Unreadable` if its parts do not fit together."""

    def deltas(kind: str, among: Sequence[int]) -> dict[int, LowRank]:
        return {n: LowRank(*factors(tensors, f"{kind}left.{n}", f"{kind}right.{n}")) for n in among}

    def some(kind: str) -> list[int]:
        return [layer for layer in layers if f"{kind}left.{layer}" in tensors]

    updates = deltas("", layers)
    keys: dict[int, Tensor] = {}
    for layer in layers:
        columns = tensors.get(f"keys.{layer}")
        if columns is None or columns.ndim != 2 or len(columns) != len(updates[layer].right):
            raise Unreadable(f"it lacks the keys of layer {layer}")
        keys[layer] = columns
    return LayerUpdates(
        updates,
        keys,
        corrections=deltas("correction.", some("correction.")),
        raw=updates | deltas("raw.", some("raw.")),
        start=tensors.get("start"),
        target=tensors.get("target"),
        memory={name.removeprefix(MEMORY): tensor for name, tensor in tensors.items() if name.startswith(MEMORY)},
    )


def _factors(kind: str, layer: int, delta: LowRank) -> dict[str, Tensor]:
    return {
        f"{kind}left.{layer}": delta.left.cpu().contiguous(),
        f"{kind}right.{layer}": delta.right.cpu().contiguous(),
    }


def _same(a: LowRank, other: LowRank) -> bool:
    return torch.equal(a.left, other.left) and torch.equal(a.right, other.right)
