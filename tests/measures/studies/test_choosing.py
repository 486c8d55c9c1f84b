"""A lane whose rounds edit different layers: what is read is what was edited, not what might have been."""

import pytest

from core.measures import studies
from tests.measures.studies.checks import well_formed


def layers(found, table):
    return {row["layer"] for row in found.tables[table]}


@pytest.mark.parametrize(
    ("name", "rounds", "table", "edited"),
    [
        ("angles", [1, 2], "layers", {1, 2}),
        ("angles", [1], "layers", {1}),
        ("blocks", [1, 2, 3], "removed", {1, 2}),
        ("stability", [3], "summary", {1, 2}),
        ("stability", [1], "summary", {1}),
        ("keys", [3], "s_layers", {1, 2}),
    ],
)
def test_tables_have_the_edited_layers(choosing, name, rounds, table, edited):
    found = studies.get(name)().run(choosing[0], rounds)
    well_formed(found)
    assert layers(found, table) == edited


@pytest.mark.parametrize(
    ("name", "rounds", "said"),
    [
        ("correlation", [1, 2, 3], "over layers [1, 2];"),
        ("maps", [3], "after layer 2 "),
        ("maps", [1], "after layer 1 "),
    ],
)
def test_protocols_name_the_edited_layers(choosing, name, rounds, said):
    found = studies.get(name)().run(choosing[0], rounds)
    well_formed(found)
    assert said in found.protocol


def test_signs_are_of_layers_that_moved(choosing):
    case, _ = choosing
    found = studies.get("warning")().run(case, [1, 3])
    well_formed(found)
    changes = [
        float((case.matrix(3, layer) - case.lm.original(layer)).norm() / case.lm.original(layer).norm())
        for layer in (1, 2)
    ]
    (row,) = [row for row in found.tables["signs"] if (row["round"], row["sign"]) == (3, "change")]
    assert row["value"] == pytest.approx(max(changes), rel=1e-9)
