import pytest
import torch

from core.errors import UserError
from core.measures.study.walk import broken, edited_rounds, walk


def test_a_walk_gives_the_rebuilt_states_bit_for_bit(case):
    found = dict(walk(case, [0, 2, 3]))
    assert list(found) == [0, 2, 3]
    assert found[0] == {}
    for t in (2, 3):
        for layer in case.layers:
            assert found[t][layer].equal(case.matrix(t, layer))


def test_rounds_that_are_not_there_are_named(case):
    with pytest.raises(UserError, match="has rounds 0 to 3, not 7"):
        list(walk(case, [1, 7]))
    with pytest.raises(UserError, match="ask for a round after an edit, 1 to 3"):
        edited_rounds(case, [0])
    assert edited_rounds(case, [0, 2, 1, 2]) == [1, 2]


def test_broken_layers_are_told():
    assert broken({1: torch.ones(2), 4: torch.tensor([1.0, torch.nan]), 5: torch.tensor([torch.inf])}) == [4, 5]
