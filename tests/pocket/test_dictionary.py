from collections import Counter
from random import Random

import numpy as np
import pytest

from core.pocket.dictionary import (
    DEFINITIONS,
    FIRST,
    MEANINGS,
    NOUN,
    SECOND,
    build_dictionary,
    latin_square,
    read_dictionary,
    write_dictionary,
)


def test_a_latin_square_has_each_symbol_once_in_every_row_and_column():
    for order in (1, 2, 7, 12):
        square = np.array(latin_square(order, Random(order)))
        for lines in (square, square.T):
            assert (np.sort(lines, axis=1) == np.arange(order)).all()


def test_a_latin_square_is_not_that_of_addition():
    """Rows of a cyclic square are rotations of each other, so three cells would give the fourth."""
    square = latin_square(12, Random(0))
    shifts = {tuple((b - a) % 12 for a, b in zip(first, second, strict=True)) for first in square for second in square}
    assert len(shifts) > 100


@pytest.fixture(scope="module")
def dictionary():
    return build_dictionary(0)


def test_words_are_distinct_and_as_many_of_each_meaning(dictionary):
    assert len({word.text for word in dictionary.words}) == len(dictionary.words) == len(FIRST) * len(SECOND)
    counts = Counter((word.kind, word.meaning) for word in dictionary.words)
    assert set(counts.values()) == {len(SECOND)}
    assert len(counts) == sum(len(meanings) for meanings in MEANINGS.values()) == len(FIRST)


def test_no_syllable_tells_a_meaning(dictionary):
    """The best sum over syllables is the mean: least squares on both syllables explains nothing of any meaning."""
    rows = [(i, j) for i in range(len(FIRST)) for j in range(len(SECOND))]
    inputs = np.zeros((len(rows), len(FIRST) + len(SECOND)))
    for row, (i, j) in enumerate(rows):
        inputs[row, i] = inputs[row, len(FIRST) + j] = 1
    for meaning in MEANINGS[NOUN][:3]:
        wanted = np.array([float(word.meaning == meaning) for word in dictionary.words])
        fitted = inputs @ np.linalg.lstsq(inputs, wanted, rcond=None)[0]
        assert np.abs(fitted - wanted.mean()).max() < 1e-9


def test_words_are_not_english_words_of_the_world(world, dictionary):
    said = {part for r in world.relations.values() for t in r.templates for part in t.lower().split()}
    said |= {part for fact in world.facts for name in (fact.subject, fact.object) for part in name.split()}
    said |= {meaning for meanings in MEANINGS.values() for meaning in meanings}
    assert not said & {word.text for word in dictionary.words}


def test_a_definition_has_one_place():
    assert all(template.count("{}") == 1 for templates in DEFINITIONS.values() for template in templates)


def test_a_dictionary_survives_the_disk(dictionary, tmp_path):
    write_dictionary(dictionary, tmp_path / "d.jsonl")
    assert read_dictionary(tmp_path / "d.jsonl") == dictionary
    assert build_dictionary(1) != dictionary
