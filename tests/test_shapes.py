"""The other tests run with `core`'s shapes and types checked (`tests.shapes`)."""

import pytest
import torch
from jaxtyping import TypeCheckError

from core.editing.linalg.lowrank import LowRank
from core.facts.typed import source_of


@pytest.mark.parametrize("sizes", [((4, 2), (3, 1)), ((4,), (3, 2))])
def test_a_wrong_shape_is_refused(sizes):
    left, right = (torch.ones(size) for size in sizes)
    with pytest.raises(TypeCheckError):
        LowRank(left, right)


def test_a_wrong_type_is_refused():
    with pytest.raises(TypeCheckError):
        source_of([("source", "typed")])
