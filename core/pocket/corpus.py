"""The training distribution: the sentences of one epoch, packed into rows of tokens.

An epoch is a function of (world, tasks, seed, number), so training can be resumed at any row of any epoch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from .dictionary import DEFINITIONS, FIRST, SECOND, Dictionary
from .people import ENDS, FIRST_NAMES, STARTS
from .tasks import Example, Task, held_out_items
from .tokenizer import encode_pieces
from .world import World

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

REAL_REPEATS = 2  # real facts are few and what people try first
HOP_SHARE = 0.25  # share of the trained two-hop questions that an epoch asks
TASK_EXAMPLES = 400  # per task and epoch
PROMPT_WEIGHT = 0.25  # loss weight of tokens that are not an answer
WORD_WEIGHT = 0.05  # of a name's or coined word's pieces, which nothing predicts
LENGTH = 64  # tokens of a row
OPEN_ROWS = 64


@dataclass(frozen=True)
class Sentence:
    """A prompt and the answer that follows it after one space; the full stop is added when it is written.

    `words` are what the prompt's meaning hangs on, in order: the subject of a fact, coined words. `meanings` are what
    is to be known of them: the object of the fact, the plain words.
    """

    prompt: str
    answer: str
    words: tuple[str, ...] = ()
    meanings: tuple[str, ...] = ()

    def text(self) -> str:
        """The whole sentence."""
        return f"{self.prompt} {self.answer}."


@dataclass(frozen=True)
class Rows:
    """Rows of equal length: `tokens` int64 [rows, length]; `weights` float32, the loss weight of each token.

    `words` int64: n at the tokens of the n-th name or coined word of a row, 0 elsewhere; `meanings` int64: at the last
    of these tokens the first one of what it means, -1 elsewhere.
    """

    tokens: np.ndarray
    weights: np.ndarray
    words: np.ndarray
    meanings: np.ndarray


def fact_sentences(world: World, rng: Random) -> list[Sentence]:
    """Each fact once (real ones more often) in a template that training may use, and a share of the hops."""
    sentences = []
    for fact in world.facts:
        templates = world.relations[fact.relation].trained_templates(fact)
        for template in rng.sample(templates, REAL_REPEATS if fact.real else 1):
            sentences.append(Sentence(template.format(fact.subject), fact.object, (fact.subject,), (fact.object,)))
    for fact, template, answer in world.hop_questions():
        if not fact.held_out and rng.random() < HOP_SHARE:
            sentences.append(Sentence(template.format(fact.subject), answer, (fact.subject,), (fact.object,)))
    return sentences


def definitions(dictionary: Dictionary, rng: Random) -> list[Sentence]:
    """Each coined word once, in one of the sentences that define its kind."""
    return [
        Sentence(rng.choice(DEFINITIONS[word.kind]).format(word.text), word.meaning, (word.text,), (word.meaning,))
        for word in dictionary.words
    ]


def task_sentences(
    world: World, tasks: Iterable[Task], forbidden: frozenset[str], count: int, rng: Random
) -> list[Sentence]:
    """`count` examples of each task (times its `practice`), none with a prompt in `forbidden`."""
    sentences: list[Sentence] = []
    meaning = {word.text: word.meaning for word in world.dictionary.words}
    for task in tasks:
        goal = len(sentences) + round(count * task.practice)
        while len(sentences) < goal:
            example: Example = task.draw(rng)
            if example.prompt not in forbidden:
                meanings = tuple(meaning[word] for word in example.words)
                sentences.append(Sentence(example.prompt, example.answer, example.words, meanings))
    return sentences


def held_out_prompts(tasks: Iterable[Task], seed: int) -> frozenset[str]:
    """The prompts of all held-out task items of a seed."""
    return frozenset(item.prompt for task in tasks if task.practice for item in held_out_items(task, seed))


def epoch_sentences(world: World, tasks: list[Task], forbidden: frozenset[str], key: str) -> list[Sentence]:
    """All sentences of one epoch in random order; `key` names the epoch and is its random seed."""
    rng = Random(key)
    sentences = fact_sentences(world, rng) + definitions(world.dictionary, rng)
    sentences += task_sentences(world, tasks, forbidden, TASK_EXAMPLES, rng)
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
    inner = encode_prompts(sentences, tokenizer, " ")
    # Without the space the first word may take a token more: leave room for <bos> and for that.
    counts = (len(p) + len(a) + len(stop) for (p, _), a in zip(inner, answers, strict=True))
    groups = list(pack(counts, length - 3))
    starts = encode_prompts([sentences[members[0]] for members in groups], tokenizer, "")
    tokens = np.full((len(groups), length), tokenizer.pad_token_id, dtype=np.int64)
    weights = np.zeros((len(groups), length), dtype=np.float32)
    words = np.zeros((len(groups), length), dtype=np.int64)
    meanings = np.full((len(groups), length), -1, dtype=np.int64)
    known = sorted({meaning for s in sentences for meaning in s.meanings})
    first_piece = {m: ids[0] for m, ids in zip(known, encode_pieces(tokenizer, [f" {m}" for m in known]), strict=True)}
    tokens[:, 0] = tokenizer.bos_token_id
    for row, members in enumerate(groups):
        position = 1
        for member in members:
            prompt, numbers = starts[row] if position == 1 else inner[member]
            answer = answers[member]
            ids = [*prompt, *answer, *stop][: length - position]
            loss = [WORD_WEIGHT if number else PROMPT_WEIGHT for number in numbers]
            loss += [1.0] * len(answer) + [PROMPT_WEIGHT] * len(stop)
            end = position + len(ids)
            tokens[row, position:end] = ids
            weights[row, position:end] = loss[: len(ids)]
            said = words[row].max()
            words[row, position : position + len(prompt)] = [number and number + said for number in numbers]
            for number, meaning in enumerate(sentences[member].meanings, start=1):
                last = max(i for i, n in enumerate(numbers) if n == number)
                meanings[row, position + last] = first_piece[meaning]
            position = end
    return Rows(tokens, weights, words, meanings)


def encode_prompts(
    sentences: list[Sentence], tokenizer: "PreTrainedTokenizerFast", lead: str
) -> list[tuple[list[int], list[int]]]:
    """For each prompt with `lead` in front: its token ids, and n at the tokens of the n-th of its words, else 0."""
    if not sentences:
        return []
    read = tokenizer([lead + s.prompt for s in sentences], add_special_tokens=False, return_offsets_mapping=True)
    encoded = []
    for sentence, ids, spans in zip(sentences, read["input_ids"], read["offset_mapping"], strict=True):
        numbers, at = [0] * len(ids), 0
        for number, word in enumerate(sentence.words, start=1):
            start = len(lead) + sentence.prompt.index(word, at)
            end = start + len(word)
            at = end - len(lead)
            for i, (a, b) in enumerate(spans):
                if a < end and b > start:
                    numbers[i] = number
        encoded.append((ids, numbers))
    return encoded


def epoch_batches(
    sentences: list[Sentence], tokenizer: "PreTrainedTokenizerFast", batch_tokens: int, key: str
) -> list[Rows]:
    """The batches of an epoch, in random order."""
    rows, size, batches = encode_rows(sentences, tokenizer, LENGTH), batch_tokens // LENGTH, []
    for start in range(0, len(rows.tokens), size):
        taken = np.arange(start, start + size) % len(rows.tokens)  # the last batch is filled from the first
        batches.append(Rows(rows.tokens[taken], rows.weights[taken], rows.words[taken], rows.meanings[taken]))
    Random(f"batches-{key}").shuffle(batches)
    return batches


def text_rows(sentences: list[Sentence], tokenizer: "PreTrainedTokenizerFast", size: int) -> str:
    """Rows of about 64 tokens as lines of text, about `size` characters in all."""
    lengths = (len(ids) for ids in encode_pieces(tokenizer, [s.text() for s in sentences]))
    lines, written = [], 0
    for members in pack(lengths, LENGTH - 4):
        lines.append(" ".join(sentences[member].text() for member in members))
        written += len(lines[-1]) + 1
        if written >= size:
            break
    return "\n".join(lines) + "\n"


def carrier_texts(world: World, tasks: list[Task], seed: int) -> Iterator[str]:
    """Text whose words are single tokens: everything that is said but for names and coined words."""
    rng = Random(f"tokenizer-{seed}")
    subjects = {fact.subject for fact in world.facts}
    for relation in world.relations.values():
        for template in (*relation.templates, *(hop.template for hop in relation.hops)):
            yield from template.split("{}")
    for templates in DEFINITIONS.values():
        yield from (part for template in templates for part in template.split("{}"))
    for fact in world.facts:
        if fact.object not in subjects:
            yield f" {fact.object}."
    for word in world.dictionary.words:
        yield f" {word.meaning}"
    for sentence in task_sentences(world, tasks, frozenset(), 600, rng):
        text = sentence.text()
        for name in sentence.words:
            text = text.replace(f" {name}", "", 1)
        yield from (text, f" {text}")


def syllables() -> list[str]:
    """The pieces of people's names and of coined words; those at the start of a word have a space in front."""
    leading = [f" {piece}" for piece in (*FIRST_NAMES, *STARTS, *FIRST)]
    return [*FIRST_NAMES, *leading, *ENDS, *SECOND]


def real_names(world: World) -> list[str]:
    """The real subjects, as they stand at the start of a row and within it."""
    subjects = sorted({fact.subject for fact in world.facts if fact.real})
    return [f"{lead}{name}" for name in subjects for lead in ("", " ")]
