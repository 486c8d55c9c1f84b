"""Text that the unedited model writes itself, where nobody names a corpus: sampled by a seed, in batches, and kept.

Where the model's own words are read instead of general text, its layers see the inputs that it is used to; what they
are for rare words and long documents stays unknown. Whoever reads the results is told so.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.editing.statistics.corpus import Corpus, hash_texts
from core.editing.statistics.second_moment import roughly
from core.models.generation import continuations
from core.models.language_model import LanguageModel

FORMAT = 1  # a higher number writes all texts anew
ROWS = {"cpu": 128, "cuda": 256}  # texts that grow together: the weights are read once a token for all of them
LENGTH = 128  # tokens of a text at most: the cost of its cache grows with it
KEPT = 0.95  # of the probability: the tail from which sampled texts lose their thread is left out
CANDIDATES = 256  # tokens that are looked at for that share
STATISTICS, ASIDE = 0, 1  # seeds: texts for layer statistics, and others for R_k and the perplexity

# How texts begin: what comes next should be of many kinds.
BEGINNINGS = (
    "The", "In", "A", "It", "When", "This is", "There are", "After", "One of the", "Many people", "For", "During",
    "He", "She", "They", "We", "As", "At first", "Some", "Most", "The history of", "The city of", "The first",
    "Scientists", "The book", "In the early", "Water", "Music", "The war", "The king", "Once upon a time", "Animals",
    "The company", "The school", "Children", "Plants", "The river", "The president", "The most important", "To make",
    "How to", "Every year", "The word", "In mathematics", "The body", "The film", "The team", "The law", "Food",
    "According to", "Although", "Because", "If you", "Last week", "My", "The old", "The world", "Computers", "Art",
    "The church", "The language", "The ocean", "The village", "Energy",
)  # fmt: skip


@dataclass(frozen=True)
class Writing:
    """Progress of the text: tokens `done` of `total`, and the seconds left at the speed so far (None at first)."""

    done: int
    total: int
    seconds_left: float | None = None

    @property
    def message(self) -> str:
        """The same as a sentence."""
        left = "" if self.seconds_left is None else f", {roughly(self.seconds_left)} left"
        return f"The unedited model writes {self.total:,} tokens of text, once{left}"


def written_corpus(
    folder: Path,
    lm: LanguageModel,
    tokens: int,
    seed: int = STATISTICS,
    heartbeat: Callable[[], None] | None = None,
    progress: Callable[[Writing], None] | None = None,
) -> Corpus:
    """At least `tokens` tokens that the unedited model writes, from `folder` as far as they are there.

    Each batch of `ROWS` texts has a seed and a file of its own: whoever is stopped by `heartbeat` loses one batch, and
    the next call goes on to the same texts. More tokens are more batches of the same kind.
    """
    place = folder / name_of(lm, seed)
    texts: list[str] = []
    done, number, begun = 0, 0, None
    while done < tokens:
        path = place / f"{number:04d}.json"
        batch = read(path)
        if batch is None:
            begun = begun or Begun(done, time.monotonic())
            whole = done + in_batches(lm, tokens - done)
            batch = written(lm, f"{seed} {number}", partial(tell, heartbeat, progress, begun, done, whole, tokens))
            write(path, batch)
        texts += batch["texts"]
        done, number = done + batch["tokens"], number + 1
    return Corpus(hash_texts(texts), lambda: texts)


def unwritten(folder: Path, lm: LanguageModel, tokens: int, seed: int = STATISTICS) -> int:
    """How many tokens `written_corpus` has yet to write, in whole batches; 0 if all are there."""
    place, number, done = folder / name_of(lm, seed), 0, 0
    while done < tokens and (batch := read(place / f"{number:04d}.json")) is not None:
        done, number = done + batch["tokens"], number + 1
    return in_batches(lm, max(tokens - done, 0))


@dataclass(frozen=True)
class Begun:
    """Where writing began: after so many tokens that were there, at this time."""

    tokens: int
    at: float


def tell(
    heartbeat: Callable[[], None] | None,
    progress: Callable[[Writing], None] | None,
    begun: Begun,
    before: int,
    whole: int,
    total: int,
    grown: int,
) -> None:
    """Call what is to be called before each token: `before` tokens are in batches, `grown` in the present one; the
    last batch will end at `whole`, after the `total` that was asked for."""
    if heartbeat is not None:
        heartbeat()
    if progress is not None:
        done = before + grown
        fresh = done - begun.tokens
        left = (time.monotonic() - begun.at) / fresh * (whole - done) if fresh > 0 else None
        progress(Writing(total * done // whole, total, left))


def name_of(lm: LanguageModel, seed: int) -> str:
    """The name of a folder of batches: everything that the texts depend on, but for how the processor rounds."""
    sampling = [FORMAT, rows(lm), LENGTH, KEPT, CANDIDATES, BEGINNINGS, seed]
    about = [lm.fingerprint, str(lm.dtype), lm.device.type, *sampling]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def rows(lm: LanguageModel) -> int:
    """Texts of a batch."""
    return ROWS.get(lm.device.type, ROWS["cpu"])


def batch_tokens(lm: LanguageModel) -> int:
    """Tokens of a batch, at most: texts that end early have fewer."""
    return rows(lm) * min(LENGTH, lm.max_length)


def in_batches(lm: LanguageModel, tokens: int) -> int:
    """The tokens of as many batches as so many tokens need: each is written to its end."""
    return batch_tokens(lm) * math.ceil(tokens / batch_tokens(lm))


@torch.no_grad()
def written(lm: LanguageModel, seed: str, beat: Callable[[int], None]) -> dict[str, Any]:
    """One batch: `{"texts", "tokens"}`. `beat` is called before each token with the number of tokens so far."""
    number = int.from_bytes(hashlib.sha256(f"written {seed}".encode()).digest()[:7], "big")
    generator = torch.Generator().manual_seed(number)
    order = torch.randperm(len(BEGINNINGS), generator=generator).tolist()
    starts = [lm.encode(BEGINNINGS[order[i % len(order)]]) for i in range(rows(lm))]

    def pick(logits: Float[Tensor, "n vocabulary"]) -> Int[Tensor, " n"]:
        return nucleus(logits.float().cpu(), generator).to(logits.device)

    length = min(LENGTH, lm.max_length)
    steps = count()
    with lm.worn({}):
        ends = continuations(
            lm,
            starts,
            length - max(map(len, starts)),
            pick,
            budget=len(starts) * length,  # all texts in one pass
            beat=lambda: beat(len(starts) * next(steps)),
        )
    ids = [[*start, *end] for start, end in zip(starts, ends, strict=True)]
    texts = lm.tokenizer.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    some = [" ".join(text.split()) for text in texts]
    return {"texts": [text for text in some if text], "tokens": sum(map(len, lm.encode_all(some)))}


def nucleus(logits: Float[Tensor, "n vocabulary"], generator: torch.Generator) -> Int[Tensor, " n"]:
    """A token of each row, drawn from the likeliest ones that hold `KEPT` of the probability together (Holtzman et al.
    2020), at most `CANDIDATES`."""
    top = logits.softmax(1).topk(min(CANDIDATES, logits.shape[1]), 1)
    before = top.values.cumsum(1) - top.values
    choice = torch.multinomial(top.values.masked_fill(before >= KEPT, 0.0), 1, generator=generator)
    return top.indices.gather(1, choice)[:, 0]


def read(path: Path) -> dict[str, Any] | None:
    """A batch; None if it is not there or damaged."""
    try:
        batch = json.loads(path.read_text(encoding="utf-8"))
        return {"texts": [str(text) for text in batch["texts"]], "tokens": int(batch["tokens"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path: Path, batch: dict[str, Any]) -> None:
    """Write a batch atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.part")
    draft.write_text(json.dumps(batch, ensure_ascii=False, indent=0), encoding="utf-8")
    os.replace(draft, path)
