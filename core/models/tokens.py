"""Token ids and positions: subjects inside prompts, answers after them."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from core.errors import UserError

SLOT = "{}"


def encode_all(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text as the model reads it: BOS once if the tokenizer adds one, never an EOS at the end."""
    if not texts:
        return []
    rows = tokenizer(list(texts), return_attention_mask=False, verbose=False)["input_ids"]
    return [row[slice(*kept_span(tokenizer, text, row))] for text, row in zip(texts, rows, strict=True)]


def kept_span(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int]) -> tuple[int, int]:
    """[start, end) of the ids to keep: without a second BOS where the text spells one out, and without an added EOS."""
    start, end = 0, len(ids)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    if bos is not None and text.startswith(tokenizer.bos_token) and list(ids[:2]) == [bos, bos]:
        start = 1
    if eos is not None and end > start + 1 and ids[end - 1] == eos and not text.endswith(tokenizer.eos_token):
        end -= 1
    return start, end


def subject_last(tokenizer: PreTrainedTokenizerBase, text: str, subject: str, start_hint: int | None = None) -> int:
    """Index of the subject's last token among `encode_all`'s ids of `text`; see `subject_span`."""
    return subject_span(tokenizer, text, subject, start_hint)[1]


def subject_span(
    tokenizer: PreTrainedTokenizerBase, text: str, subject: str, start_hint: int | None = None
) -> tuple[int, int]:
    """Indices of the subject's first and last token among `encode_all`'s ids of `text`.

    The text is tokenised whole and tokens found by character offsets, so merges across the subject's borders are
    seen as the model sees them: tokens that overlap the subject count. A subject that occurs more than once
    is the one that starts at character `start_hint`; without the hint the last occurrence.
    """
    start = text.rfind(subject) if start_hint is None else start_hint
    if not subject or text[start : start + len(subject)] != subject or start < 0:
        raise UserError(
            f"The subject {subject!r} does not occur in {text!r}"
            + ("." if start_hint is None else f" at character {start_hint}.")
        )
    end = start + len(subject)
    encoding = tokenizer(text, return_offsets_mapping=True, return_attention_mask=False, verbose=False)
    first, last = kept_span(tokenizer, text, encoding["input_ids"])
    offsets = encoding["offset_mapping"][first:last]
    overlapping = [i for i, (left, right) in enumerate(offsets) if left < end and right > start]
    if not overlapping:
        raise UserError(f"The tokenizer drops the subject {subject!r} of {text!r}: no token covers it.")
    return overlapping[0], overlapping[-1]


def slot_last(
    tokenizer: PreTrainedTokenizerBase, template: str, subject: str, before: str = "", after: str = ""
) -> tuple[str, int]:
    """(text, index of the subject's last token) of `before` + `template` with its slot `{}` filled + `after`.

    The subject's occurrence is the slot's, wherever else the text repeats it.
    """
    text, (_, last) = slot_span(tokenizer, template, subject, before, after)
    return text, last


def slot_span(
    tokenizer: PreTrainedTokenizerBase, template: str, subject: str, before: str = "", after: str = ""
) -> tuple[str, tuple[int, int]]:
    """The text of `slot_last`, and the indices of the subject's first and last token in it. Raises `UserError`."""
    if template.count(SLOT) != 1:
        raise UserError(f"The prompt {template!r} needs exactly one slot {{}} for the subject.")
    text = before + template.replace(SLOT, subject, 1) + after
    return text, subject_span(tokenizer, text, subject, len(before) + template.index(SLOT))


def answer_text(prompt: str, answer: str) -> str:
    """Prompt and answer joined as a text: one space between them, none after a prompt that ends with space."""
    return prompt + answer if prompt.endswith((" ", "\n")) else f"{prompt} {answer}"


def split_answer(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int], joined: Sequence[int], answer: str
) -> list[int]:
    """The answer's ids, from the ids of the prompt and of prompt and answer joined (`answer_text`).

    Where the tokenizer merges across the border, so that the joined ids do not start with the prompt's, `answer` is
    tokenised without the prompt: as it stands in the joined text, with its leading space if it has one there.
    """
    ids = list(joined[len(prompt) :])
    if not ids or list(joined[: len(prompt)]) != list(prompt):
        ids = continuing(tokenizer, answer)
    if not answer.strip() or not ids:
        raise UserError(f"The answer {answer.strip()!r} has no tokens.")
    return ids


def continuing(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Ids of a text that follows another: those after a line break, since some tokenizers encode the start of a text
    differently."""
    texts = ["\n", f"\n{text}", text]
    border, whole, alone = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return whole[len(border) :] if whole[: len(border)] == border else alone


def answer_ids(tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str) -> list[int]:
    """Ids of `answer` (given without leading space) as the continuation of `prompt`; see `answer_text`."""
    joined = answer_text(prompt, answer)
    before, whole = encode_all(tokenizer, [prompt, joined])
    return split_answer(tokenizer, before, whole, joined[len(prompt) :])
