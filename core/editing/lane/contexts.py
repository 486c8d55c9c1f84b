"""Context prefixes that edits are averaged over, sampled once from the unedited model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.models.generation import continuations
from core.models.language_model import LanguageModel

WORDS = ("The", "Therefore", "Because", "I", "You")
TOP = 5


def sample_contexts(
    lm: LanguageModel,
    seed: int,
    count: int = 5,
    length: int = 10,
    seeds: str = "words",
    beat: Callable[[], None] | None = None,
) -> list[str]:
    """`count` texts of `length` tokens: top-5 samples of the unedited model, the same for the same seed.

    They start with five common words in turn ("words", as in the MEMIT family) or with the start of a text ("bos").
    Braces are removed, so that a sample can precede a prompt with a slot.
    """
    if count == 0:
        return []
    generator = torch.Generator().manual_seed(seed)

    def pick(logits: Float[Tensor, "n vocabulary"]) -> Int[Tensor, " n"]:
        top = logits.float().cpu().topk(min(TOP, logits.shape[1]), 1)
        choice = torch.multinomial(top.values.softmax(1), 1, generator=generator)
        return top.indices.gather(1, choice)[:, 0].to(logits.device)

    starts = [starting_ids(lm, WORDS[i % len(WORDS)] if seeds == "words" else "") for i in range(count)]
    with lm.worn({}):
        rows = [
            [*start, *continuations(lm, [start], max(1, length - len(start)), pick, beat=beat)[0]] for start in starts
        ]
    texts = lm.tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [" ".join(text.replace("{", " ").replace("}", " ").split()) for text in texts]


def starting_ids(lm: LanguageModel, word: str) -> list[int]:
    """The ids of a word at the start of a text; without a word, those of the start of a text."""
    ids = lm.encode(word) if word else lm.encode("")
    if ids:
        return ids
    start = lm.tokenizer.bos_token_id
    return [start if start is not None else lm.tokenizer.eos_token_id or 0]


def prefixes(contexts: Sequence[str]) -> list[str]:
    """The prefixes of a prompt: none (the bare prompt, always first), then each context as a sentence."""
    return ["", *(f"{text.rstrip('.')}. " for text in contexts if text)]
