import math
from dataclasses import replace

import pytest
import torch

from core.editing.session import EditSession
from core.errors import UserError
from core.measures.studies.keys import Keys
from tests.measures.studies.checks import well_formed


def known(case, layer, share):
    """U of C0 by a plain eigendecomposition."""
    values, vectors = torch.linalg.eigh(case.session.moment(layer))
    values, vectors = values.flip(0), vectors.flip(1)
    r = int((values.cumsum(0) / values.sum() < share).sum()) + 1
    return vectors[:, :r], values[:r]


@pytest.mark.parametrize("change", ["accumulated", "per round"])
def test_s_equals_plain_products(plain_case, change):
    found = Keys(energy=0.9, change=change).run(plain_case, [1, 3])
    well_formed(found)
    squares = {"s": 0.0, "s_bar": 0.0}
    for layer in plain_case.layers:
        delta = plain_case.matrix(3, layer) - plain_case.lm.original(layer)
        if change == "per round":
            delta = plain_case.update(3).updates[layer].dense()
        u, _ = known(plain_case, layer, 0.9)
        squares["s"] += float((delta @ u).square().sum())
        squares["s_bar"] += float((delta - delta @ u @ u.T).square().sum())
    table = {row["norm"]: row["value"] for row in found.tables["s"] if row["round"] == 3}
    assert table["s"] == pytest.approx(math.sqrt(squares["s"]), rel=1e-8)
    assert table["s_bar"] == pytest.approx(math.sqrt(squares["s_bar"]), rel=1e-6)
    assert table["s_star"] == pytest.approx(table["s"] + table["s_bar"])
    assert [row["layer"] for row in found.tables["s_layers"]] == [1, 2, 1, 2]


def test_scaled_directions(plain_case):
    found = Keys(scaled=True).run(plain_case, [2])
    u, values = known(plain_case, 1, 0.8)
    delta = plain_case.matrix(2, 1) - plain_case.lm.original(1)
    assert found.tables["s_layers"][0]["s"] == pytest.approx(float((delta @ (u * values.sqrt())).norm()), rel=1e-8)


def test_a_null_edit_changes_nothing_anywhere(null_case):
    found = Keys().run(null_case, [1, 2, 3])
    assert all(row["value"] == 0 for row in found.tables["s"])


def test_the_spectrum_is_that_of_the_recorded_keys(case):
    found = Keys(keys=5).run(case, [1, 2, 3])
    keys = torch.cat([case.update(t).keys[2] for t in (1, 2)], 1)
    for t, count in ((1, 3), (2, 5), (3, 5)):
        sigma = torch.linalg.svdvals(keys[:, :count])
        rows = [row for row in found.tables["spectrum"] if row["round"] == t]
        assert [row["k"] for row in rows] == list(range(1, count + 1))
        assert [row["sigma"] for row in rows] == pytest.approx(sigma.tolist())
        assert rows[0]["cumulative_squares"] == pytest.approx(float(sigma[0] ** 2 / sigma.square().sum()))
        (span,) = [row for row in found.tables["span"] if row["round"] == t]
        part = sigma / sigma.sum()
        assert span["keys"] == count
        assert span["r_entropy"] == pytest.approx(math.exp(-float((part * part.log()).sum())))
        assert span["condition"] == pytest.approx(float(sigma[0] / sigma[-1]))
    assert Keys(layer=1).run(case, [3]).tables["span"][0]["layer"] == 1
    with pytest.raises(UserError, match=r"edits layers \[1, 2\], not 0"):
        Keys(layer=0).run(case, [3])


def test_without_statistics_only_the_keys_are_looked_at(case):
    found = Keys().run(replace(case, session=EditSession(case.lm, {})), [1])
    assert not found.tables["s"]
    assert found.tables["span"]
    assert "s_t was left out: Layer 1 has no statistics" in found.notes[0]
    assert all(chart.table != "s" for chart in found.charts)


def test_the_time_is_estimated_before(case):
    assert 0 < Keys().seconds(case, [1]) < Keys().seconds(case, [1, 2, 3]) < 20
