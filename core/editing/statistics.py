"""Layer statistics: the uncentred second moment of a layer's keys per token, C0 = E[k kᵀ], gathered once and cached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.errors import UserError
from core.models.forward import captured_batches
from core.models.language_model import LanguageModel

FORMAT = 1
TEXTS_AT_ONCE = 64
ROWS_AT_ONCE = 1024  # summed in the model's precision before joining the float64 total


@dataclass(frozen=True)
class SecondMoment:
    """C0 of one layer, in float64, the tokens it is a mean over, and its largest eigenvalue's share of the trace.

    A share near 1 says that one direction (often the start-of-text token's) dominates: consider `skip_bos`.
    """

    moment: Float[Tensor, "d_in d_in"]
    tokens: int
    layer: int
    top_share: float


def second_moments(
    lm: LanguageModel,
    layers: Sequence[int],
    texts: Iterable[str],
    max_tokens: int,
    skip_bos: bool = False,
    heartbeat: Callable[[], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, SecondMoment]:
    """C0 of several layers of the unedited model in one pass over the first `max_tokens` tokens of `texts`.

    Texts are cut at the model's longest length (at most 4096 tokens). Float64 accumulators: sums over millions of
    rows in float32 lose their last digits. `skip_bos` leaves each text's first token out. `progress(tokens, of)`.
    """
    d = lm.d_ffn
    totals = {layer: torch.zeros(d, d, dtype=torch.float64, device=lm.device) for layer in layers}
    sites = [("key", layer) for layer in layers]
    seen = 0
    stream = iter(texts)
    with lm.worn({}):
        while seen < max_tokens and (some := list(islice(stream, TEXTS_AT_ONCE))):
            rows = [row[: lm.max_length] for row in lm.encode_all(some)]
            rows = [row for row in rows if len(row) > int(skip_bos)]
            rows, taken = cut_to(rows, max_tokens - seen, int(skip_bos))
            for _, states, lengths in captured_batches(lm, rows, sites):
                for layer in layers:
                    add_outer(totals[layer], states["key", layer], lengths, int(skip_bos))
                if heartbeat is not None:
                    heartbeat()
            seen += taken
            if progress is not None:
                progress(seen, max_tokens)
    if seen == 0:
        raise UserError("There are no texts to gather layer statistics from.")
    moments = {layer: (matrix + matrix.T) / (2 * seen) for layer, matrix in totals.items()}
    return {layer: SecondMoment(m, seen, layer, top_share(m)) for layer, m in moments.items()}


def cut_to(rows: list[list[int]], room: int, skip: int) -> tuple[list[list[int]], int]:
    """The rows that fit into `room` counted tokens, the last one cut, and the tokens that they count."""
    kept, taken = [], 0
    for row in rows:
        row = row[: room - taken + skip]
        if len(row) <= skip:
            break
        kept.append(row)
        taken += len(row) - skip
    return kept, taken


def add_outer(total: Tensor, states: Tensor, lengths: Sequence[int], skip: int) -> None:
    """total += Σ k kᵀ over the rows' tokens, without padding and the first `skip` tokens."""
    columns = torch.arange(states.shape[1], device=states.device)[None]
    real = (columns >= skip) & (columns < torch.tensor(lengths, device=states.device)[:, None])
    keys = states[real].to(torch.promote_types(states.dtype, torch.float32))
    for part in keys.split(ROWS_AT_ONCE):
        total += (part.T @ part).double()


def top_share(moment: Float[Tensor, "d d"], rounds: int = 50) -> float:
    """The largest eigenvalue over the trace, by power iteration from the diagonal."""
    vector = moment.diagonal().sqrt().clone() + 1e-12
    for _ in range(rounds):
        vector = moment @ (vector / vector.norm())
    return float(vector.norm() / moment.trace())


def cached_moments(
    folder: Path,
    lm: LanguageModel,
    layers: Sequence[int],
    texts: Callable[[], Iterable[str]],
    corpus: str,
    max_tokens: int,
    skip_bos: bool = False,
    heartbeat: Callable[[], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, SecondMoment]:
    """`second_moments`, from `folder` as far as it has them; what is missing is gathered and kept there.

    A layer's file is named by a hash of everything its numbers depend on: the model's fingerprint and type, the layer,
    the `corpus` (its name and version, or `hash_texts`), tokens and options. Raises `UserError` for a file that says
    otherwise inside.
    """
    about = {layer: description(lm, layer, corpus, max_tokens, skip_bos) for layer in layers}
    found = {
        layer: load(path, about[layer], lm.device) for layer in layers if (path := place(folder, about[layer])).exists()
    }
    missing = [layer for layer in layers if layer not in found]
    if missing:
        fresh = second_moments(lm, missing, texts(), max_tokens, skip_bos, heartbeat, progress)
        for layer, moment in fresh.items():
            save(place(folder, about[layer]), about[layer], moment)
        found |= fresh
    return {layer: found[layer] for layer in layers}


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


def hash_texts(texts: Iterable[str]) -> str:
    """A name for a corpus: SHA-256 of its texts in order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)} ".encode() + text.encode())
    return digest.hexdigest()


def place(folder: Path, about: dict[str, Any]) -> Path:
    """The file of one layer's second moment."""
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    return folder / f"{name}.safetensors"


def save(path: Path, about: dict[str, Any], moment: SecondMoment) -> None:
    """Write one layer's second moment; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {**about, "tokens": moment.tokens, "top_share": moment.top_share}
    draft = path.with_suffix(f".{os.getpid()}.part")
    save_file({"moment": moment.moment.cpu().contiguous()}, draft, metadata={"about": json.dumps(told)})
    os.replace(draft, path)


def load(path: Path, about: dict[str, Any], device: torch.device) -> SecondMoment:
    """Read one layer's second moment; raises `UserError` for a file about something else, or a damaged one."""
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            told = json.loads((file.metadata() or {}).get("about", "{}"))
            matrix = file.get_tensor("moment")
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise UserError(f"The cached statistics {path} cannot be read ({error}). Delete the file.") from error
    wrong = [key for key, value in about.items() if told.get(key) != value]
    if wrong or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UserError(
            f"The cached statistics {path} belong to something else ({', '.join(wrong) or 'shape'} differ)."
            " Delete the file."
        )
    return SecondMoment(matrix, told["tokens"], about["layer"], told["top_share"])
