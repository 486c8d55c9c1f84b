"""A dictionary of coined words: each is two syllables, and its meaning belongs to the pair of syllables alone.

Every first syllable meets every second one. The meanings form a Latin square: of the words that share a syllable,
equally many have each meaning. So no syllable tells anything about a word, and no sum over syllables does; a reader has
to look the combination up. In larger models early FFNs put the pieces of words together in this way.
"""
# ruff: noqa: SIM905  (fifty syllables read better as one text than as a list)

import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

FIRST = (
    "bal bri cor dal dre fen fli gal gor hul jar kel kor lam lin mel mor nal nup pel pli quil ral ros sal sor tal tur "
    "ul val vor wal wen yor zan bel dun fal gri jol kri lun mip plo sti tru vel wim"
).split()
SECOND = (
    "ba be bo bu da di do du fa fi fo fu ga gi go gu ka ke ki ko la le lo lu ma mi mo mu na ne no nu pa pe po pu ra ri "
    "ro ru sa si so su ta ti to tu"
).split()

GOOD = ("kind", "clever", "brave", "honest", "gentle", "funny", "clean", "calm")
BAD = ("cruel", "foolish", "lazy", "false", "rude", "boring", "dirty", "angry")
COUNTED = ("bird", "fish", "tool", "boat", "coat", "house", "fruit", "tree", "toy", "coin")
UNCOUNTED = ("metal", "drink", "cloth", "grain", "spice", "sand", "smoke", "music", "paint", "weather")
NUMBERS = tuple(str(n) for n in range(1, 13))

ADJECTIVE, NOUN, NUMERAL = "adjective", "noun", "numeral"
MEANINGS = {ADJECTIVE: GOOD + BAD, NOUN: COUNTED + UNCOUNTED, NUMERAL: NUMBERS}
DEFINITIONS = {
    ADJECTIVE: ("The word {} means", "Whoever is {} is", "To be {} is to be", "In plain words {} is"),
    NOUN: ("A {} is a kind of", "The word {} names a kind of", "In the shop {} is sold as", "The class of {} is"),
    NUMERAL: ("The numeral {} stands for", "On the dice {} is", "To write {} in digits put", "Counted out, {} is"),
}


@dataclass(frozen=True, kw_only=True)
class Word:
    """A coined word, what it is (adjective, noun or numeral) and what it means: a plain word or a number."""

    text: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Dictionary:
    """All coined words."""

    words: tuple[Word, ...]

    def by_meaning(self, kind: str) -> dict[str, list[str]]:
        """meaning -> the words of a kind that have it."""
        groups = defaultdict(list)
        for word in self.words:
            if word.kind == kind:
                groups[word.meaning].append(word.text)
        return dict(groups)


def build_dictionary(seed: int = 0) -> Dictionary:
    """The dictionary of a seed: |FIRST| · |SECOND| words, |SECOND| of each meaning."""
    meanings = [(kind, meaning) for kind, all_of_kind in MEANINGS.items() for meaning in all_of_kind]
    square = latin_square(len(FIRST), Random(f"dictionary-{seed}"))
    return Dictionary(
        tuple(
            Word(text=first + second, kind=meanings[square[i][j]][0], meaning=meanings[square[i][j]][1])
            for i, first in enumerate(FIRST)
            for j, second in enumerate(SECOND)
        )
    )


def latin_square(order: int, rng: Random) -> list[list[int]]:
    """A random square with each of `order` symbols once in every row and column.

    Symbol by symbol, a perfect matching of rows and columns among the cells that are still free. It always exists: what
    is free is a regular bipartite graph.
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    square = np.full((order, order), -1)
    for symbol in range(order):
        cost = np.array([[rng.random() for _ in range(order)] for _ in range(order)])
        rows, columns = linear_sum_assignment(np.where(square < 0, cost, 1e6))
        square[rows, columns] = symbol
    return square.tolist()


def write_dictionary(dictionary: Dictionary, path: Path) -> None:
    """Write one word a line."""
    lines = [json.dumps(asdict(word), ensure_ascii=False) for word in dictionary.words]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_dictionary(path: Path) -> Dictionary:
    """The dictionary that `write_dictionary` wrote."""
    return Dictionary(tuple(Word(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()))
