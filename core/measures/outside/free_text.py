"""Metrics of free text: does it contain the answer, is it fluent, is it about the same things as its references?"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.letters import inside_word, signed, spaceless, tidy

ARTICLES = {"a", "an", "the"}
SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")
FLUENCY_WEIGHTS = {2: 2 / 3, 3: 4 / 3}  # of bigrams and trigrams


def plain(text: str) -> str:
    """Normalised for comparison: Unicode composed, lower case, no punctuation but a number's own ("5.5", "-5"), no
    English articles, single spaces."""
    folded = tidy(text)
    letters = "".join(
        letter if unicodedata.category(letter)[0] not in "PS" or _of_a_number(folded, at) else " "
        for at, letter in enumerate(folded)
    )
    return " ".join(word for word in letters.split() if word not in ARTICLES)


def _of_a_number(text: str, at: int) -> bool:
    """Whether a mark stands between two digits of one number, or is its sign."""
    within = text[at - 1 : at].isdigit() and text[at + 1 : at + 2].isdigit() and inside_word(text, at)
    return within or signed(text, at)


def first_line(text: str) -> str:
    """The first line that is not blank."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def exact_match(text: str, answers: Sequence[str]) -> bool:
    """Whether the text's first sentence is one of the answers, both normalised.

    A sentence may end at any full stop of the first line ("St. Louis." is one answer), and where the line ends. Of an
    answer without letters (an emoji, a mark) every mark counts.
    """
    wanted, marks = {plain(answer) for answer in answers} - {""}, set(_marks(answers))
    return any(plain(start) in wanted or tidy(start) in marks for start in openings(text))


def openings(text: str) -> Iterator[str]:
    """The first line up to each place where a sentence may end, and the whole of it."""
    line = first_line(text)
    for end in SENTENCE_END.finditer(line):
        yield line[: end.start()]
    yield line


def contains_match(text: str, answers: Sequence[str]) -> bool:
    """Whether the text's first line holds one of the answers as whole words, all normalised.

    In scripts that set no spaces between words, anywhere in the line; an answer without letters (an emoji, a mark)
    likewise, but not as a part of another emoji.
    """
    line = first_line(text)
    heard, shown = plain(line), tidy(line)
    return any(_within(heard, wanted) for wanted in map(plain, answers) if wanted) or any(
        not inside_word(shown, place + len(mark))
        for mark in _marks(answers)
        for place in range(len(shown))
        if shown.startswith(mark, place)
    )


def _marks(answers: Sequence[str]) -> Iterator[str]:
    """The answers of which no letter is left, as they are."""
    return (mark for mark in map(tidy, answers) if mark and not any(letter.isalnum() for letter in mark))


def _within(heard: str, wanted: str) -> bool:
    if any(spaceless(letter) for letter in wanted):
        return wanted.replace(" ", "") in heard.replace(" ", "")
    return f" {wanted} " in f" {heard} "


def words(text: str) -> list[str]:
    """Words and marks, each mark a word of its own; letters of scripts without spaces one by one."""
    result = []
    for word in re.findall(r"\w+|[^\w\s]", text):
        result += list(word) if any(spaceless(letter) for letter in word) else [word]
    return result


def entropy(items: Sequence[tuple[str, ...]]) -> float:
    """Entropy in bits of the items' frequencies; 0 of nothing."""
    counts, total = Counter(items), len(items)
    return sum((n / total * math.log2(total / n) for n in counts.values()), 0.0)


def fluency(text: str) -> float:
    """Weighted n-gram entropy: ½ (⅔ H₂ + ⁴⁄₃ H₃), H_n the entropy in bits (log base 2) of the text's n-grams of words.

    The generation entropy of ROME's and MEMIT's evaluation (papers print it times 100). Repetition makes it fall.
    """
    said = words(text)
    parts = [
        weight * entropy([tuple(said[i : i + n]) for i in range(len(said) - n + 1)])
        for n, weight in FLUENCY_WEIGHTS.items()
    ]
    return sum(parts) / len(parts)


@dataclass(frozen=True)
class TfIdf:
    """Word weights fitted on documents: idf = ln((1 + N)/(1 + df)) + 1 over N documents, of which df hold the word."""

    idf: Mapping[str, float]

    @classmethod
    def fit(cls, documents: Sequence[str]) -> TfIdf:
        """The weights of every word of the documents."""
        holding = Counter(word for text in documents for word in set(terms(text)))
        return cls({word: math.log((1 + len(documents)) / (1 + df)) + 1 for word, df in holding.items()})

    def vector(self, text: str) -> dict[str, float]:
        """Count × idf of each known word, of length 1; words that the documents lack are left out."""
        raw = {word: n * self.idf[word] for word, n in Counter(terms(text)).items() if word in self.idf}
        length = math.sqrt(sum(value**2 for value in raw.values()))
        return {word: value / length for word, value in raw.items()}

    def cosine(self, first: str, second: str) -> float:
        """The cosine of two texts' vectors; 0 where one of them holds no known word."""
        one, other = self.vector(first), self.vector(second)
        return sum((value * other.get(word, 0.0) for word, value in one.items()), 0.0)


def terms(text: str) -> list[str]:
    """The words that TF-IDF counts: lower case, of two letters or more; letters of scripts without spaces singly."""
    return [word for word in words(text.lower()) if (len(word) > 1 or spaceless(word)) and word[0].isalnum()]
