"""Layer statistics on disk, under a fingerprint of all that they depend on; gathering that goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.editing.corpus import Corpus
from core.editing.files import Unreadable, read_tensors
from core.editing.statistics import Gathering, SecondMoment, Sums, second_moments
from core.errors import UserError
from core.models.language_model import LanguageModel

FORMAT = 2
SAVE_SECONDS = 60.0  # between two drafts of sums, at least
SAVE_SHARE = 0.05  # of the time, at most, goes into writing them


def cached_moments(
    folder: Path,
    lm: LanguageModel,
    layers: Sequence[int],
    corpus: Corpus,
    max_tokens: int,
    skip_bos: bool = False,
    heartbeat: Callable[[], None] | None = None,
    progress: Callable[[Gathering], None] | None = None,
) -> dict[int, SecondMoment]:
    """`second_moments`, from `folder` as far as it has them; what is missing is gathered and kept there.

    A layer's file is named by a hash of everything its numbers depend on: the model's fingerprint and type, the layer,
    the corpus, tokens and options. Raises `UserError` for a file that says otherwise inside. When `heartbeat` raises,
    and every minute or so, the sums so far are kept beside it; the next call goes on from there, to the same bits.
    """
    about = {layer: description(lm, layer, corpus.name, max_tokens, skip_bos) for layer in layers}
    found = {layer: load(path, about[layer], lm) for layer in layers if (path := place(folder, about[layer])).exists()}
    missing = [layer for layer in layers if layer not in found]
    if missing:
        draft = Draft(folder, lm, {layer: about[layer] for layer in missing})
        fresh = draft.gathered(
            lambda sums: second_moments(
                lm, missing, corpus.texts(), max_tokens, skip_bos, heartbeat, progress, sums, draft.keep
            )
        )
        for layer, moment in fresh.items():
            save(place(folder, about[layer]), about[layer], moment)
        draft.path.unlink(missing_ok=True)
        found |= fresh
    return {layer: found[layer] for layer in layers}


class Draft:
    """The sums of statistics that are being gathered, in one file for all of their layers.

    Its name hashes what the layers' own do, and in which portions the model is run: with others it would not fit.
    """

    def __init__(self, folder: Path, lm: LanguageModel, about: dict[int, dict[str, Any]]):
        self._about = {"layers": list(about.values()), "portions": lm.token_budget, "device": lm.device.type}
        self._lm, self._layers = lm, list(about)
        self.path = place(folder, self._about).with_suffix(".sums.safetensors")
        self._since, self._spent, self._last = time.monotonic(), 0.0, None

    def gathered(self, gather: Callable[[Sums], dict[int, SecondMoment]]) -> dict[int, SecondMoment]:
        """What `gather` makes of the sums so far; when it is stopped, those it reached are kept."""
        sums = self.read() if self.path.exists() else Sums.nothing(self._lm, self._layers)
        try:
            return gather(sums)
        except UserError:
            self.path.unlink(missing_ok=True)  # not of use to anybody
            raise
        except BaseException:
            if sums.begun and sums.whole:
                self.write(sums)
            raise

    def keep(self, sums: Sums) -> None:
        """Write the sums if that is due."""
        since = time.monotonic() - self._since
        if since >= SAVE_SECONDS and self._spent <= SAVE_SHARE * since:
            self.write(sums)
            self._since = time.monotonic()

    def write(self, sums: Sums) -> None:
        """The file appears whole or not at all."""
        began = time.monotonic()
        told = {**self._about, "texts": sums.texts, "batches": sums.batches, "seen": sums.seen}
        write(self.path, {str(layer): matrix for layer, matrix in sums.totals.items()}, told)
        self._spent = time.monotonic() - began

    def read(self) -> Sums:
        """The sums on disk; raises `UserError` for a file about something else, or a damaged one."""
        names = [str(layer) for layer in self._layers]
        tensors, told = read(self.path, self._about, self._lm.device, names, ("texts", "batches", "seen"))
        square(self.path, tensors.values(), self._lm.d_ffn)
        totals = {layer: tensors[str(layer)] for layer in self._layers}
        return Sums(totals, told["texts"], told["batches"], told["seen"])


def description(lm: LanguageModel, layer: int, corpus: str, max_tokens: int, skip_bos: bool) -> dict[str, Any]:
    """Everything that a layer's second moment depends on."""
    return {
        "format": FORMAT,
        "model": lm.fingerprint,
        "dtype": str(lm.dtype),
        "layer": layer,
        "corpus": corpus,
        "max_tokens": max_tokens,
        "max_length": lm.max_length,
        "skip_bos": skip_bos,
    }


def place(folder: Path, about: dict[str, Any]) -> Path:
    """The file of what is described."""
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    return folder / f"{name}.safetensors"


def save(path: Path, about: dict[str, Any], moment: SecondMoment) -> None:
    """Write one layer's second moment; the file appears whole or not at all."""
    write(path, {"moment": moment.moment}, {**about, "tokens": moment.tokens, "top_share": moment.top_share})


def load(path: Path, about: dict[str, Any], lm: LanguageModel) -> SecondMoment:
    """Read one layer's second moment; raises `UserError` for a file about something else, or a damaged one."""
    tensors, told = read(path, about, lm.device, ["moment"], ("tokens", "top_share"))
    square(path, tensors.values(), lm.d_ffn)
    if not bool(tensors["moment"].sum().isfinite()):
        raise UserError(f"The cached statistics {path} hold what are no numbers. Delete the file.")
    return SecondMoment(tensors["moment"], told["tokens"], about["layer"], told["top_share"])


def write(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Tensors and what they are about, as one file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.part")
    held = {name: matrix.cpu().contiguous() for name, matrix in tensors.items()}
    save_file(held, draft, metadata={"about": json.dumps(about)})
    os.replace(draft, path)


def read(
    path: Path, about: dict[str, Any], device: torch.device, names: Sequence[str], numbers: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, what they are about); raises `UserError` for a damaged file, or if they are not about `about` and do
    not tell these `numbers`."""
    try:
        tensors, told = read_tensors(path, device, names)
    except Unreadable as error:
        raise UserError(f"The cached statistics {path} cannot be read ({error}). Delete the file.") from error
    wrong = [key for key, value in about.items() if told.get(key) != value]
    wrong += [key for key in numbers if not isinstance(told.get(key), (int, float))]
    if wrong or len(tensors) < len(names):
        raise unfit(path, ", ".join(wrong) or "layers")
    return tensors, told


def square(path: Path, matrices: Iterable[Tensor], size: int) -> None:
    """Raises `UserError` unless all are as large as the layer's inputs are many."""
    if any(tuple(matrix.shape) != (size, size) or not matrix.is_floating_point() for matrix in matrices):
        raise unfit(path, "shape")


def unfit(path: Path, what: str) -> UserError:
    """Of a file that is about something else."""
    return UserError(f"The cached statistics {path} belong to something else ({what} differ). Delete the file.")
