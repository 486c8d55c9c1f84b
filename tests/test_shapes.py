"""The other tests run with `core`'s shapes and types checked (`tests.shapes`)."""

import ast

import pytest
import torch
from jaxtyping import TypeCheckError

from core.editing.linalg.lowrank import LowRank, added
from tests.shapes import names_a_shape


@pytest.mark.parametrize("sizes", [((4, 2), (3, 1)), ((4,), (3, 2))])
def test_a_wrong_shape_is_refused(sizes):
    left, right = (torch.ones(size) for size in sizes)
    with pytest.raises(TypeCheckError):
        LowRank(left, right)


def test_a_wrong_type_beside_a_shape_is_refused():
    with pytest.raises(TypeCheckError):
        added(torch.ones(4, 3), torch.ones(4, 3))


@pytest.mark.parametrize(
    "source, asks",
    [
        ("def f(x: Float[Tensor, 'n']) -> int: ...", True),
        ("def f() -> dict[int, Bool[Tensor, '_']]: ...", True),
        ("class C:\n    x: Int[Tensor, 'n']", True),
        ("def f(x: int) -> float: ...", False),
    ],
)
def test_what_names_a_shape(source, asks):
    assert names_a_shape(ast.parse(source)) == asks
