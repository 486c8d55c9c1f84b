"""Layer statistics on disk, under a fingerprint of everything they depend on. Interrupted gathering can be resumed.

They are read when they are used. A file holds the upper triangle of C0: in float64 for layers of up to
`core.editing.linalg.triangle.WHOLE` inputs, in float32 above. Older files hold the whole square, and can be read too.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.editing.linalg.triangle import WHOLE, Triangle, bytes_of, kept_type, shapes
from core.editing.statistics.corpus import Corpus
from core.editing.statistics.second_moment import Gathering, SecondMoment, Sums, in_bytes, second_moments
from core.errors import UserError
from core.models.language_model import LanguageModel
from core.tensor_files import Unreadable, described, read_tensors

FORMAT = 2
SAVE_SECONDS = 60.0  # between two drafts of sums, at least
SAVE_SHARE = 0.05  # the largest share of the time spent on writing them
AT_ONCE = 2**33  # bytes of sums in a pass: five layers of Llama-3-8B take half of them, of Qwen2.5-7B most
SQUARE = "moment"  # the tensor in older files


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
    """`second_moments`, read from `folder` if possible; missing ones are gathered and stored there.

    A layer's file is named by a hash of everything its numbers depend on: the model's fingerprint and type, the layer,
    the corpus, tokens and options. Raises `UserError` for a file whose content does not match its name, and if there is
    no room for new files. Layers whose sums would take more than `AT_ONCE` together are gathered in several passes.
    When `heartbeat` raises, and about every minute, the partial sums are stored in the folder. The next call resumes
    from them and gives the same bits.
    """
    about = {layer: description(lm, layer, corpus.name, max_tokens, skip_bos) for layer in layers}
    moments = {
        layer: load(path, about[layer], lm) for layer in layers if (path := place(folder, about[layer])).exists()
    }
    missing = [layer for layer in layers if layer not in moments]
    parts = passes(lm, missing)
    check_room(folder, lm, missing, parts)
    for index, some in enumerate(parts):
        draft = Draft(folder, lm, {layer: about[layer] for layer in some})
        report = in_passes(progress, index, len(parts), len(missing))
        fresh = draft.gathered(
            partial(second_moments, lm, some, corpus.texts(), max_tokens, skip_bos, heartbeat, report, keep=draft.keep)
        )
        for layer in some:
            path = place(folder, about[layer])
            save(path, about[layer], fresh.pop(layer))
            moments[layer] = load(path, about[layer], lm)
        draft.path.unlink(missing_ok=True)
    return {layer: moments[layer] for layer in layers}


def uncached(
    folder: Path, lm: LanguageModel, layers: Sequence[int], corpus: Corpus, max_tokens: int, skip_bos: bool = False
) -> list[int]:
    """The layers of which `cached_moments` would have to gather the second moments."""
    about = {layer: description(lm, layer, corpus.name, max_tokens, skip_bos) for layer in layers}
    return [layer for layer in layers if not place(folder, about[layer]).exists()]


def passes(lm: LanguageModel, layers: Sequence[int]) -> list[list[int]]:
    """The layers whose sums are gathered together, pass by pass."""
    many = max(1, AT_ONCE // bytes_of(lm.d_ffn, torch.float64))
    return [list(layers[first : first + many]) for first in range(0, len(layers), many)]


def check_room(folder: Path, lm: LanguageModel, layers: Sequence[int], parts: Sequence[Sequence[int]]) -> None:
    """Raises `UserError` unless the disk has room for the files of these layers and for the partial sums of a pass."""
    most = max(map(len, parts), default=0)
    need = len(layers) * bytes_of(lm.d_ffn, kept_type(lm.d_ffn)) + most * bytes_of(lm.d_ffn, torch.float64)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if need > free:
        raise UserError(
            f"The statistics of {len(layers)} layers need {in_bytes(need)} in {folder}, where {in_bytes(free)} are"
            " free. Make room, edit fewer layers, or keep them elsewhere (--home, LAB_HOME)."
        )


def in_passes(
    progress: Callable[[Gathering], None] | None, index: int, count: int, layers: int
) -> Callable[[Gathering], None] | None:
    """Reports the progress of one pass as a part of all passes."""

    if progress is None or count == 1:
        return progress

    def tell(far: Gathering) -> None:
        share = layers / far.layers  # of the files: each pass reports its own
        left = None
        if far.estimate is not None and far.seconds_left is not None:
            left = far.seconds_left + (count - index - 1) * far.estimate
        progress(
            replace(
                far,
                done=index * far.total + far.done,
                total=count * far.total,
                layers=layers,
                kept=round(far.kept * share),
                seconds_left=left,
                passes=count,
            )
        )

    return tell


class Draft:
    """Partial sums of statistics, in one file for all layers of a pass.

    Its name hashes the layers' descriptions and the batches in which the model is run: other batches would not fit.
    """

    def __init__(self, folder: Path, lm: LanguageModel, about: dict[int, dict[str, Any]]):
        portions = {"portions": lm.token_budget, "device": lm.device.type}
        self._about = {"layers": list(about.values()), "storage": "strips", **portions}
        self._lm, self._layers = lm, list(about)
        self.path = place(folder, self._about).with_suffix(".sums.safetensors")
        self._since, self._spent = time.monotonic(), 0.0

    def gathered(self, gather: Callable[[Sums], dict[int, SecondMoment]]) -> dict[int, SecondMoment]:
        """The result of `gather` from the sums so far; if it is stopped, the partial sums are stored."""
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
        """Write the file atomically."""
        began = time.monotonic()
        header = {**self._about, "texts": sums.texts, "batches": sums.batches, "seen": sums.seen}
        write(self.path, named(sums.totals), header)
        self._spent = time.monotonic() - began

    def read(self) -> Sums:
        """The sums on disk. Raises `UserError` for a file with another description, or a damaged one."""
        names = [f"{layer}." for layer in self._layers]
        header = check(self.path, self._about, names, self._lm.d_ffn, ("texts", "batches", "seen"))
        totals = {layer: strips(self.path, f"{layer}.", self._lm) for layer in self._layers}
        return Sums(totals, header["texts"], header["batches"], header["seen"])


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
    """The file of a description."""
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    return folder / f"{name}.safetensors"


def save(path: Path, about: dict[str, Any], second: SecondMoment) -> None:
    """Write one layer's second moment atomically."""
    header = {**about, "tokens": second.tokens, "top_share": second.top_share, "digest": second.digest}
    write(path, {str(first): strip for first, strip in second.upper()}, header)


def load(path: Path, about: dict[str, Any], lm: LanguageModel) -> SecondMoment:
    """One layer's second moment. Its numbers are read from the file whenever they are used. Raises `UserError` for a
    file with another description, or a damaged one. Small files are checked for finite numbers now, large ones at
    their first use."""
    header = check(path, about, [""], lm.d_ffn, ("tokens", "top_share"))
    if lm.d_ffn <= WHOLE:
        numbers(path, lm)
    digest = str(header.get("digest", ""))
    return SecondMoment(lambda: numbers(path, lm), header["tokens"], about["layer"], header["top_share"], digest)


def numbers(path: Path, lm: LanguageModel) -> Triangle:
    """The triangle of a layer's second moment, read from its file; raises `UserError` unless it is finite."""
    upper = strips(path, "", lm)
    if not all(bool(strip.sum().isfinite()) for _, strip in upper):
        raise UserError(f"The cached statistics {path} hold what are no numbers. Delete the file.")
    return upper


def named(totals: Mapping[int, Triangle]) -> dict[str, Tensor]:
    """The strips of several layers by their names in a file."""
    return {f"{layer}.{first}": strip for layer, total in totals.items() for first, strip in total}


def check(path: Path, about: dict[str, Any], layers: Sequence[str], size: int, says: Sequence[str]) -> dict[str, Any]:
    """A file's metadata. Raises `UserError` if the file is damaged, has another description, lacks one of the
    numbers in `says`, or lacks the strips of these layers (by the prefixes of their names) in the shapes for
    `size` inputs."""
    with readable(path):
        tensors, header = described(path)
    wrong = [key for key, value in about.items() if header.get(key) != value]
    wrong += [key for key in says if not isinstance(header.get(key), (int, float))]
    if wrong:
        raise unfit(path, ", ".join(wrong))
    stored = {name: tuple(shape) for name, (kind, shape) in tensors.items() if kind in ("F32", "F64")}
    expected = {f"{layer}{name}": shape for layer in layers for name, shape in shapes(size).items()}
    if stored not in (expected, {SQUARE: (size, size)}):
        raise unfit(path, "shape")
    return header


def strips(path: Path, layer: str, lm: LanguageModel) -> Triangle:
    """The triangle of the layer with this prefix in the names of its strips, read from a file."""
    names = [f"{layer}{name}" for name in shapes(lm.d_ffn)]
    with readable(path):
        tensors, _ = read_tensors(path, lm.device, [SQUARE, *names])
    if SQUARE in tensors:
        return Triangle.of(tensors[SQUARE]).mean(1)
    return Triangle(tuple(tensors[name] for name in names))


def write(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Tensors and metadata as one file, written atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.part")
    held = {name: matrix.cpu().contiguous() for name, matrix in tensors.items()}
    save_file(held, draft, metadata={"about": json.dumps(about)})
    os.replace(draft, path)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns errors of a file that cannot be read into a one-line message."""
    try:
        yield
    except Unreadable as error:
        raise UserError(f"The cached statistics {path} cannot be read ({error}). Delete the file.") from error


def unfit(path: Path, what: str) -> UserError:
    """The error for a file with another description."""
    return UserError(f"The cached statistics {path} belong to something else ({what} differ). Delete the file.")
