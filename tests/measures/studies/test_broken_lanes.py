"""A lane whose last round broke: what can be measured is, and what cannot is said."""

from dataclasses import replace

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.linalg.lowrank import LowRank
from core.measures import studies
from core.measures.study.case import Case
from tests.measures.studies.checks import well_formed

SCORES = {t: {"efficacy": t / 10, "neighborhood": 1 - t / 20} for t in (1, 2, 3, 4)}


@pytest.fixture(scope="module")
def broken_case(plain_case: Case, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Three sound rounds and a fourth whose update of layer 2 is not finite."""
    ledger = Ledger(tmp_path_factory.mktemp("broken"))
    for t in (1, 2, 3, 4):
        update = plain_case.update(min(t, 3))
        if t == 4:
            left, right = torch.full_like(update.updates[2].left, torch.nan), update.updates[2].right
            broken = {2: LowRank(left, right)}
            raw = {2: LowRank(left.clone(), right.clone())}  # NaN is unlike itself, so the ledger keeps both
            update = replace(update, updates=update.updates | broken, raw=raw)
        ledger.append(plain_case.lane, t, update)
    return replace(plain_case, ledger=ledger, cohorts=[*plain_case.cohorts, [6, 7, 8]], scores=SCORES)


@pytest.mark.parametrize("name", ["angles", "blocks", "correlation", "keys", "maps", "stability", "values"])
def test_numbers_that_are_not_finite_are_told(broken_case, name):
    found = studies.get(name)().run(broken_case, [1, 2, 3, 4])
    well_formed(found)
    assert any("finite" in note for note in found.notes), found.notes
