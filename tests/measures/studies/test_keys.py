import math
from dataclasses import replace

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.lane.session import EditSession
from core.editing.recipe import recipe_from_dict
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


def test_all_lanes_share_u_whatever_their_prior(plain_case):
    plain = Keys(energy=0.9).run(plain_case, [3])
    prior = recipe_from_dict({"method": "memit", "layers": [1, 2], "prior": {"name": "lowrank", "alpha": 0.5}})
    session = EditSession(plain_case.lm, plain_case.session.moments)
    other = Keys(energy=0.9).run(replace(plain_case, recipe=prior, session=session), [3])
    assert other.tables["s_layers"] == plain.tables["s_layers"]
    assert "the same for all lanes" in plain.protocol
    three = Keys(rank=3).run(plain_case, [3])
    values, vectors = torch.linalg.eigh(plain_case.session.moment(1))
    delta = plain_case.matrix(3, 1) - plain_case.lm.original(1)
    s = float((delta @ vectors[:, -3:]).norm())
    assert three.tables["s_layers"][0]["s"] == pytest.approx(s, rel=1e-8)
    assert "directions by layer: 1: 3, 2: 3" in three.protocol


def test_keys_of_a_method_that_chooses_its_layers(choosing):
    case, _ = choosing
    found = Keys().run(case, [1, 2, 3])
    well_formed(found)
    keys = torch.cat([case.update(1).keys[1], case.update(3).keys[1]], 1)  # layer 1 was edited in two rounds
    (span,) = [row for row in found.tables["span"] if row["round"] == 3]
    assert (span["layer"], span["keys"]) == (1, 6)
    assert span["sigma_1"] == pytest.approx(float(torch.linalg.svdvals(keys)[0]))
    assert any("1 of 3 rounds edited other layers" in note for note in found.notes)
    assert [row["layer"] for row in found.tables["s_layers"] if row["round"] == 3] == [1, 2]


def test_methods_that_edit_by_no_keys_say_so(plain_case, tmp_path):
    ledger = Ledger(tmp_path)
    for t in (1, 2, 3):
        update = plain_case.update(t)
        none = {layer: keys[:, :0] for layer, keys in update.keys.items()}
        ledger.append(plain_case.lane, t, replace(update, keys=none))
    found = Keys().run(replace(plain_case, ledger=ledger), [2])
    well_formed(found)
    assert found.as_dict()["empty"]["spectrum"] == (
        "MEMIT recorded no keys at layer 2 up to round 2, so they have no spectrum"
    )
    assert found.tables["s"]


def test_the_time_is_estimated_before(case):
    assert 0 < Keys().seconds(case, [1]) < Keys().seconds(case, [1, 2, 3]) < 20
