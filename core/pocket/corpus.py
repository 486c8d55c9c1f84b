"""The training distribution: the sentences of one epoch, packed into rows of tokens.

An epoch is a function of (world, tasks, seed, number), so training can be resumed at any row of any epoch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from .tasks import Example, Task, held_out_items
from .tokenizer import encode_pieces
from .world import World

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

REAL_REPEATS = 2  # real facts are few and what people try first
HOP_SHARE = 0.5  # share of the trained two-hop questions that an epoch asks
TASK_EXAMPLES = 340  # per task and epoch: tasks take about a quarter of the tokens
PROMPT_WEIGHT = 0.25  # loss weight of tokens that are not an answer
LENGTHS = (32, 64)  # row lengths; short rows let more sentences stand right after <bos>
OPEN_ROWS = 64
SUBJECT_REPEATS = 4  # of subjects in the tokenizer's text


@dataclass(frozen=True)
class Sentence:
    """A prompt and the answer that follows it after one space; the full stop is added when it is written.

    `subject` is what the prompt is about, if it is about one of the world's entities.
    """

    prompt: str
    answer: str
    subject: str = ""

    def text(self) -> str:
        """The whole sentence."""
        return f"{self.prompt} {self.answer}."


@dataclass(frozen=True)
class Rows:
    """Rows of equal length: `tokens` int64 [rows, length]; `weights` float32, the loss weight of each token.

    `subjects` int64: in the s-th sentence of a row, s at the subject's tokens and -s at those after it; else 0.
    """

    tokens: np.ndarray
    weights: np.ndarray
    subjects: np.ndarray


def fact_sentences(world: World, rng: Random) -> list[Sentence]:
    """Each fact once (real ones more often) in a template that training may use, and a share of the hops."""
    sentences = []
    for fact in world.facts:
        templates = world.relations[fact.relation].trained_templates(fact)
        for template in rng.sample(templates, REAL_REPEATS if fact.real else 1):
            sentences.append(Sentence(template.format(fact.subject), fact.object, fact.subject))
    for fact, template, answer in world.hop_questions():
        if not fact.held_out and rng.random() < HOP_SHARE:
            sentences.append(Sentence(template.format(fact.subject), answer, fact.subject))
    return sentences


def task_sentences(tasks: Iterable[Task], forbidden: frozenset[str], count: int, rng: Random) -> list[Sentence]:
    """`count` examples of each task (times its `practice`), none with a prompt in `forbidden`."""
    sentences: list[Sentence] = []
    for task in tasks:
        goal = len(sentences) + round(count * task.practice)
        while len(sentences) < goal:
            example: Example = task.draw(rng)
            if example.prompt not in forbidden:
                sentences.append(Sentence(example.prompt, example.answer))
    return sentences


def held_out_prompts(tasks: Iterable[Task], seed: int) -> frozenset[str]:
    """The prompts of all held-out task items of a seed."""
    return frozenset(item.prompt for task in tasks if task.practice for item in held_out_items(task, seed))


def epoch_sentences(world: World, tasks: list[Task], forbidden: frozenset[str], key: str) -> list[Sentence]:
    """All sentences of one epoch in random order; `key` names the epoch and is its random seed."""
    rng = Random(key)
    sentences = fact_sentences(world, rng) + task_sentences(tasks, forbidden, TASK_EXAMPLES, rng)
    rng.shuffle(sentences)
    return sentences


def pack(lengths: Iterable[int], capacity: int) -> Iterator[list[int]]:
    """Group sentence numbers into rows of at most `capacity` tokens (first fit among a few open rows)."""
    rows: list[tuple[int, list[int]]] = []  # (free tokens, sentence numbers)
    for number, length in enumerate(lengths):
        if length > capacity:
            continue
        for i, (free, members) in enumerate(rows):
            if length <= free:
                rows[i] = (free - length, [*members, number])
                break
        else:
            rows.append((capacity - length, [number]))
        if len(rows) > OPEN_ROWS:
            yield rows.pop(min(range(len(rows)), key=lambda i: rows[i][0]))[1]
    for _, members in rows:
        yield members


def encode_rows(sentences: list[Sentence], tokenizer: "PreTrainedTokenizerFast", length: int) -> Rows:
    """Pack sentences into rows `<bos> sentence sentence …` of `length` tokens, padded at the end.

    The first sentence of a row has no space in front; the others have.
    """
    stop = encode_pieces(tokenizer, ["."])[0]
    answers = encode_pieces(tokenizer, [f" {s.answer}" for s in sentences])
    inner = encode_pieces(tokenizer, [f" {s.prompt}" for s in sentences])
    # Without the space the first word may take a token more: leave room for <bos> and for that.
    groups = list(pack((len(p) + len(a) + len(stop) for p, a in zip(inner, answers, strict=True)), length - 2))
    first = [sentences[members[0]] for members in groups]
    starts, start_spans = encode_pieces(tokenizer, [s.prompt for s in first]), subject_spans(first, tokenizer, "")
    inner_spans = subject_spans(sentences, tokenizer, " ")
    tokens = np.full((len(groups), length), tokenizer.pad_token_id, dtype=np.int64)
    weights = np.zeros((len(groups), length), dtype=np.float32)
    subjects = np.zeros((len(groups), length), dtype=np.int64)
    tokens[:, 0] = tokenizer.bos_token_id
    for row, members in enumerate(groups):
        position = 1
        for number, member in enumerate(members, start=1):
            prompt, span = (starts[row], start_spans[row]) if number == 1 else (inner[member], inner_spans[member])
            answer = answers[member]
            ids = [*prompt, *answer, *stop][: length - position]
            loss = [PROMPT_WEIGHT] * len(prompt) + [1.0] * len(answer) + [PROMPT_WEIGHT] * len(stop)
            end = position + len(ids)
            tokens[row, position:end] = ids
            weights[row, position:end] = loss[: len(ids)]
            if span is not None:
                subjects[row, position + span[0] : position + span[1]] = number
                subjects[row, position + span[1] : end] = -number
            position = end
    return Rows(tokens, weights, subjects)


def subject_spans(
    sentences: list[Sentence], tokenizer: "PreTrainedTokenizerFast", lead: str
) -> list[tuple[int, int] | None]:
    """For each prompt with `lead` in front: (the subject's first token, the one after its last), or None.

    Tokens never cross the end of a word, so a prefix has as many tokens alone as within the sentence.
    """
    at = [s.prompt.find(s.subject) for s in sentences]
    before = encode_pieces(tokenizer, [f"{lead}{s.prompt[:i]}".rstrip() for s, i in zip(sentences, at, strict=True)])
    through = encode_pieces(
        tokenizer, [f"{lead}{s.prompt[: i + len(s.subject)]}" for s, i in zip(sentences, at, strict=True)]
    )
    return [(len(b), len(t)) if s.subject else None for s, b, t in zip(sentences, before, through, strict=True)]


def epoch_batches(
    sentences: list[Sentence], tokenizer: "PreTrainedTokenizerFast", batch_tokens: int, key: str
) -> list[Rows]:
    """The batches of an epoch: half of the sentences in short rows, half in long ones, in random order."""
    batches = []
    for i, length in enumerate(LENGTHS):
        rows = encode_rows(sentences[i :: len(LENGTHS)], tokenizer, length)
        size = batch_tokens // length
        for start in range(0, len(rows.tokens), size):
            taken = np.arange(start, start + size) % len(rows.tokens)  # the last batch is filled from the first
            batches.append(Rows(rows.tokens[taken], rows.weights[taken], rows.subjects[taken]))
    Random(f"batches-{key}").shuffle(batches)
    return batches


def text_rows(sentences: list[Sentence], tokenizer: "PreTrainedTokenizerFast", size: int) -> str:
    """Rows of about 64 tokens as lines of text, about `size` characters in all."""
    lengths = (len(ids) for ids in encode_pieces(tokenizer, [s.text() for s in sentences]))
    lines, written = [], 0
    for members in pack(lengths, LENGTHS[-1] - 4):
        lines.append(" ".join(sentences[member].text() for member in members))
        written += len(lines[-1]) + 1
        if written >= size:
            break
    return "\n".join(lines) + "\n"


def tokenizer_texts(world: World, tasks: list[Task], seed: int) -> Iterator[str]:
    """Text to train the tokenizer on: subjects, templates and objects as often as they are used.

    Subjects are repeated, so that each of their words becomes one token. If a name were split, the model would identify
    it by its first pieces, and its last token, which methods edit at, would carry little about the subject.
    """
    rng = Random(f"tokenizer-{seed}")
    yield from sorted({f" {fact.subject}" for fact in world.facts}) * SUBJECT_REPEATS
    for fact in world.facts:  # as first words of a row; of people only the first name
        yield from [fact.subject if fact.real else fact.subject.split()[0]] * 2
    for relation in world.relations.values():
        for template in (*relation.templates, *(hop.template for hop in relation.hops)):
            yield from [template.format(""), f" {template.format('')}"] * 20
    for fact in world.facts:
        yield f" {fact.object}."
    for sentence in task_sentences(tasks, frozenset(), 100, rng):
        yield f" {sentence.text()}"
