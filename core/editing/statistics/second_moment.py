"""Layer statistics: the uncentred second moment of a layer's keys per token, C0 = E[k kᵀ], gathered from a stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.linalg.triangle import Triangle, bytes_of, kept_type
from core.errors import UserError
from core.models.forward import batches, captured_batches
from core.models.language_model import LanguageModel
from core.models.tokens import encode_all

TEXTS_AT_ONCE = 64
ROWS_AT_ONCE = 1024  # summed in the model's precision before joining the float64 total


@dataclass(frozen=True)
class SecondMoment:
    """C0 of one layer, the number of tokens in the mean, and its largest eigenvalue's share of the trace.

    `upper` gives its triangle, from memory or from a file. A share near 1 means that one direction (often the
    start-of-text token's) dominates: consider `skip_bos`. `digest` identifies the exact bits: other processors and
    libraries round differently. Older files have none ("").
    """

    upper: Callable[[], Triangle]
    tokens: int
    layer: int
    top_share: float
    digest: str = ""

    @property
    def moment(self) -> Float[Tensor, "d_in d_in"]:
        """C0 in float64, a new tensor at each call."""
        return self.upper().square()


@dataclass(frozen=True)
class ToGather:
    """What is missing before statistics are there: tokens that the model has to write for them, and the layers whose
    second moments it has to gather from so many `tokens`."""

    written: int = 0
    tokens: int = 0
    layers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Gathering:
    """Progress of the statistics: tokens `done` of `total` over all `passes` (each reads all tokens, for some of the
    layers), seconds left at the speed measured so far, the same at the speed of the first batch (both None before
    it), the bytes of a pass's sums, and those of the files to be stored."""

    done: int
    total: int
    layers: int
    bytes: int
    resumed: bool = False
    seconds_left: float | None = None
    estimate: float | None = None
    passes: int = 1
    kept: int = 0

    @property
    def message(self) -> str:
        """The same as a sentence."""
        some = f"{self.layers} layers" if self.layers > 1 else "1 layer"
        how = "Going on with" if self.resumed else "Gathering"
        times = f", in {self.passes} passes" if self.passes > 1 else ""
        time_ = "how long it takes is measured on the first batch" if self.estimate is None else roughly(self.estimate)
        room = f"{in_bytes(self.bytes)} of memory" + (f", {in_bytes(self.kept)} on disk" if self.kept else "")
        tokens = f"{self.total // self.passes:,} tokens"
        return f"{how} the statistics of {some} from {tokens}, once per model{times}: {room}, {time_}"


def in_bytes(size: int) -> str:
    """A size in words."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{max(size / 2**20, 0.1):.1f} MB"


def roughly(seconds: float) -> str:
    """A rounded duration in words."""
    if seconds < 90:
        return f"about {max(seconds, 1):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


@dataclass
class Sums:
    """Partial sums: Σ k kᵀ by layer, in float64, over the first tokens of a stream.

    `texts` is the number of texts read completely; `batches` of the next group of texts were added. `seen` counts the
    tokens of the former. Resumed sums end with the same bits as sums that were never stopped, if they were stopped
    while `whole`: not in the middle of a batch.
    """

    totals: dict[int, Triangle]
    texts: int = 0
    batches: int = 0
    seen: int = 0
    whole: bool = True

    @property
    def begun(self) -> bool:
        """Whether anything was added."""
        return self.seen > 0 or self.batches > 0

    @classmethod
    def nothing(cls, lm: LanguageModel, layers: Sequence[int]) -> Sums:
        """Sums of no tokens."""
        return cls({layer: Triangle.zeros(lm.d_ffn, torch.float64, lm.device) for layer in layers})

    def moments(self) -> dict[int, SecondMoment]:
        """C0 of each layer, in the stored type. Raises `UserError` if there were no tokens, or if numbers are not
        finite.

        The sums are released layer by layer, so that both are never in memory together: the sums cannot be resumed
        afterwards.
        """
        if self.seen == 0:
            raise UserError("There are no texts to gather layer statistics from.")
        self.whole, moments = False, {}
        for layer in list(self.totals):
            total = self.totals.pop(layer)
            if not all(bool(torch.isfinite(strip).all()) for _, strip in total):
                raise UserError(
                    f"Layer {layer}: the statistics are not finite: the model's type is too narrow for its activations."
                    ' Load it in float32 ("dtype": "float32").'
                )
            upper = total.mean(self.seen)
            share = top_share(upper.square())
            moments[layer] = SecondMoment(in_memory(upper), self.seen, layer, share, upper.digest())
        return moments


def in_memory(upper: Triangle) -> Callable[[], Triangle]:
    """A triangle as `SecondMoment` asks for it."""
    return lambda: upper


def second_moments(
    lm: LanguageModel,
    layers: Sequence[int],
    texts: Iterable[str],
    max_tokens: int,
    skip_bos: bool = False,
    heartbeat: Callable[[], None] | None = None,
    progress: Callable[[Gathering], None] | None = None,
    sums: Sums | None = None,
    keep: Callable[[Sums], None] | None = None,
) -> dict[int, SecondMoment]:
    """C0 of several layers of the unedited model in one pass over the first `max_tokens` tokens of `texts`.

    Texts are cut at the model's longest length (at most 4096 tokens). Float64 accumulators: sums over millions of rows
    in float32 lose their last digits. `skip_bos` leaves each text's first token out. `sums` are those of an earlier
    call over the same texts, to be resumed; `keep` is called with them after each batch. `heartbeat` may raise.
    """
    sums = sums or Sums.nothing(lm, layers)
    resumed = sums.begun
    size = bytes_of(lm.d_ffn, torch.float64) * len(layers)
    disk = {"kept": bytes_of(lm.d_ffn, kept_type(lm.d_ffn)) * len(layers)}
    began, start, estimate = time.monotonic(), None, None
    with lm.worn({}):
        for rows, counted in groups(lm, texts, max_tokens, skip_bos, sums):
            steps = batches([len(row) for row in rows], lm.token_budget)
            tokens = [sum(len(rows[i]) - int(skip_bos) for i in step) for step in steps]
            done = sums.seen + sum(tokens[: sums.batches])
            if start is None:
                start = done
                tell(progress, Gathering(done, max_tokens, len(layers), size, resumed, **disk))
            for step, count in list(zip(steps, tokens, strict=True))[sums.batches :]:
                if heartbeat is not None:
                    heartbeat()
                ((_, states, lengths),) = captured_batches(
                    lm, [rows[i] for i in step], [("key", layer) for layer in layers]
                )
                sums.whole = False
                for layer in layers:
                    add_outer(sums.totals[layer], states["key", layer], lengths, int(skip_bos))
                sums.batches += 1
                sums.whole = True
                done += count
                left = (time.monotonic() - began) / (done - start) * (max_tokens - done)
                estimate = left if estimate is None else estimate
                tell(progress, Gathering(done, max_tokens, len(layers), size, resumed, left, estimate, **disk))
                if keep is not None:
                    keep(sums)
            sums.whole = False
            sums.texts, sums.batches, sums.seen = sums.texts + counted, 0, done
            sums.whole = True
    return sums.moments()


def groups(
    lm: LanguageModel, texts: Iterable[str], max_tokens: int, skip_bos: bool, sums: Sums
) -> Iterator[tuple[list[list[int]], int]]:
    """(rows of ids, texts read for them), starting after `sums`, which the caller updates, up to `max_tokens`."""
    stream = islice(iter(texts), sums.texts, None)
    while sums.seen < max_tokens and (some := list(islice(stream, TEXTS_AT_ONCE))):
        rows = [row[: lm.max_length] for row in encode_all(lm.tokenizer, some)]
        rows = [row for row in rows if len(row) > int(skip_bos)]
        yield cut_to(rows, max_tokens - sums.seen, int(skip_bos)), len(some)


def tell(progress: Callable[[Gathering], None] | None, how_far: Gathering) -> None:
    """Call `progress` if there is one."""
    if progress is not None:
        progress(how_far)


def cut_to(rows: list[list[int]], room: int, skip: int) -> list[list[int]]:
    """The rows that fit into `room` counted tokens, the last one cut."""
    result, count = [], 0
    for row in rows:
        row = row[: room - count + skip]
        if len(row) <= skip:
            break
        result.append(row)
        count += len(row) - skip
    return result


def add_outer(total: Triangle, states: Tensor, lengths: Sequence[int], skip: int) -> None:
    """total += Σ k kᵀ over the rows' tokens, without padding and the first `skip` tokens."""
    columns = torch.arange(states.shape[1], device=states.device)[None]
    real = (columns >= skip) & (columns < torch.tensor(lengths, device=states.device)[:, None])
    keys = states[real].to(torch.promote_types(states.dtype, torch.float32))
    for part in keys.split(ROWS_AT_ONCE):
        for first, strip in total:
            strip += part[:, first : first + len(strip)].T @ part[:, first:]


def top_share(moment: Float[Tensor, "d d"], rounds: int = 50) -> float:
    """The largest eigenvalue over the trace, by power iteration from the diagonal."""
    vector = moment.diagonal().sqrt().clone() + 1e-12
    for _ in range(rounds):
        vector = moment @ (vector / vector.norm())
    return float(vector.norm() / moment.trace())
