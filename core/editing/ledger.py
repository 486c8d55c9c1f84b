"""The ledger: what every round did, as low-rank factors on disk. Any earlier state of a lane is rebuilt from it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.editing.lowrank import LowRank
from core.editing.state import LaneState, LayerUpdates
from core.errors import UserError
from core.models.language_model import LanguageModel


class Ledger:
    """Rounds of lanes in a folder: one file per lane and round, which appears whole or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder

    def append(self, lane: str, round_: int, update: LayerUpdates) -> Path:
        """Write a round; a round that is there already is replaced (a resumed run writes the same again)."""
        tensors = {}
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
        about = {"lane": lane, "round": round_, "layers": list(update.updates)}
        path = self.path(lane, round_)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.part")
        save_file(tensors, draft, metadata={"about": json.dumps(about)})
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
        return path

    def rounds(self, lane: str) -> list[int]:
        """The rounds of a lane, ascending."""
        return sorted(int(path.stem) for path in self.lane_folder(lane).glob("*.safetensors"))

    def read(self, lane: str, round_: int, device: torch.device | str = "cpu") -> LayerUpdates:
        """One round. Raises `UserError` for a file that is missing, damaged or of another lane or round."""
        path = self.path(lane, round_)
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                about = json.loads((file.metadata() or {}).get("about", "{}"))
                # Copied: the file's bytes lie anywhere in memory, and where they lie may change a product's last bit.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, json.JSONDecodeError) as error:
            raise UserError(f'Round {round_} of lane "{lane}" cannot be read from {path}: {error}') from error
        if (about.get("lane"), about.get("round")) != (lane, round_):
            raise UserError(f'{path} should hold round {round_} of lane "{lane}" but holds {about}.')
        layers = about["layers"]

        def factors(kind: str) -> dict[int, LowRank]:
            held = [layer for layer in layers if f"{kind}left.{layer}" in tensors]
            return {n: LowRank(tensors[f"{kind}left.{n}"], tensors[f"{kind}right.{n}"]) for n in held}

        updates = factors("")
        return LayerUpdates(
            updates,
            {layer: tensors[f"keys.{layer}"] for layer in layers},
            corrections=factors("correction."),
            raw=updates | factors("raw."),
            start=tensors.get("start"),
            target=tensors.get("target"),
        )

    def rebuild(
        self,
        lm: LanguageModel,
        lane: str,
        layers: Sequence[int],
        upto: int | None = None,
        without: Collection[int] = (),
    ) -> LaneState:
        """The lane after round `upto` (default: the last), bit for bit as it was live; undo = `without` some rounds.

        Rounds with corrections need all rounds before them: `UserError` if one of those is left out.
        """
        state, left_out = LaneState.base(lm, layers), None
        for round_ in self.rounds(lane):
            if upto is not None and round_ > upto:
                break
            if round_ in without:
                left_out = round_
                continue
            update = self.read(lane, round_, lm.device)
            if update.corrections and left_out is not None:
                raise UserError(
                    f'Lane "{lane}" has a guard of the accumulated change, so round {left_out} cannot be left out and'
                    f" round {round_} kept: undo round {round_} as well."
                )
            state.apply(update)
        return state

    def delete(self, lane: str, after: int = 0) -> None:
        """Forget a lane's rounds after `after`; all of them by default."""
        if after == 0:
            shutil.rmtree(self.lane_folder(lane), ignore_errors=True)
        for round_ in self.rounds(lane):
            if round_ > after:
                self.path(lane, round_).unlink()

    def path(self, lane: str, round_: int) -> Path:
        """The file of a round."""
        return self.lane_folder(lane) / f"{round_:06d}.safetensors"

    def lane_folder(self, lane: str) -> Path:
        """A lane's folder: its label as far as file names allow, and a hash that keeps like labels apart."""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", lane).strip("-").lower()[:40]
        return self.folder / f"{readable}-{hashlib.sha256(lane.encode()).hexdigest()[:8]}"


def _factors(kind: str, layer: int, delta: LowRank) -> dict[str, Tensor]:
    return {
        f"{kind}left.{layer}": delta.left.cpu().contiguous(),
        f"{kind}right.{layer}": delta.right.cpu().contiguous(),
    }


def _same(one: LowRank, other: LowRank) -> bool:
    return torch.equal(one.left, other.left) and torch.equal(one.right, other.right)
