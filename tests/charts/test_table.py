import doctest

import pytest

from core.charts import table
from core.charts.table import Column, formatted, joined, packed, picked, precise, short, thinned, unpacked


def test_the_examples_hold():
    assert doctest.testmod(table).failed == 0


def test_blocks_become_the_rows_that_they_were_made_of():
    rows = [{"layer": 3, "ls": 0.9, "of": None}, {"layer": 4, "ls": None, "of": 2}]
    block = packed("layers", rows, edits=100)
    assert unpacked([block], lane="a", round=2) == {
        "layers": [{"lane": "a", "round": 2, "edits": 100} | row for row in rows]
    }
    assert unpacked([{"table": "k", "layer": 3, "k": []}]) == {"k": []}
    two = joined([{"a": [{"x": 1}]}, {"a": [{"x": 2}], "b": []}])
    assert two == {"a": [{"x": 1}, {"x": 2}], "b": []}
    with pytest.raises(ValueError, match="lengths"):
        unpacked([{"table": "k", "k": [1, 2], "rk": [0.5]}])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        *((0.974, "share", "97"), (0.975, "share", "98"), (0.0, "share", "0"), (12.5, "percent", "13")),
        *((1234, "count", "1,234"), (1234, "index", "1234"), (0.0312, "", "0.03"), (1.0, "cosine", "1.00")),
        *((0.00456, "", "0.005"), (4e-9, "", "0"), (-0.25, "correlation", "-0.25"), (None, "share", "–")),
        ("τ = 0.1", "text", "τ = 0.1"),
    ],
)
def test_numbers_are_said_in_their_unit(value, unit, text):
    assert formatted(value, unit) == text


def test_labels_have_the_sign_of_the_unit():
    assert precise(0.375, "share") == "37.5 %"
    assert precise(26, "count") == "26"
    assert precise(None, "share") == "–"


def test_every_unit_of_a_column_is_known():
    assert Column("x").unit in table.UNITS
    from core.panels import panels

    for panel in panels():
        for columns in panel.columns.values():
            assert {column.unit for column in columns} <= set(table.UNITS)


def test_numbers_are_short_and_never_nan():
    assert short([1.23456789, float("nan"), float("inf"), 7, True, None]) == [1.235, None, None, 7, None, None]
    assert thinned(3) == [0, 1, 2]
    keep = thinned(256)
    assert (keep[0], keep[-1]) == (0, 255)
    assert len(keep) <= 41
    assert keep == sorted(set(keep))
    assert picked([1.23456, 2, 3], [0, 2, 9]) == [1.235, 3]
