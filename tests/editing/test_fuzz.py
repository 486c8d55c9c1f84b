"""Whatever a file of the lab's own tensors holds, it is read, or one clear line says why not."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from core.editing.deltas.factors import FORMAT, read_factors
from core.editing.deltas.ledger import Ledger
from core.editing.lane.state import LayerUpdates
from core.editing.linalg.lowrank import LowRank
from core.errors import UserError
from tests.fuzzing import ANYTHING, TEXTS, altered, clear, damaged, inputs

ABOUT = {"lane": "a", "round": 1, "layers": [0, 2], "format": FORMAT, "base": {"fingerprint": "x"}}
TENSORS = st.builds(torch.zeros, st.lists(st.integers(0, 3), max_size=3)) | st.builds(
    torch.ones, st.just((3, 2)), dtype=st.sampled_from([torch.int32, torch.float64, torch.bfloat16])
)
NAMES = st.sampled_from(
    ["left.0", "right.0", "keys.0", "left.2", "raw.left.0", "correction.left.2", "m.left", "m.right"]
)


def read(ledger, path):
    for reading in (lambda: ledger.read("a", 1), lambda: ledger.layers("a", 1), lambda: read_factors(path)):
        try:
            reading()
        except UserError as error:
            clear(str(error).replace(str(path.parent), ""))


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path)
    drawn = {layer: LowRank(torch.ones(3, 2), torch.ones(5, 2)) for layer in (0, 2)}
    ledger.append("a", 1, LayerUpdates(drawn, {layer: torch.ones(5, 2) for layer in drawn}))
    return ledger


@pytest.mark.fuzz
@inputs(30, 500)
@given(data=st.data())
def test_a_round_of_the_ledger_may_hold_any_bytes(ledger, data):
    path = ledger.path("a", 1)
    whole = path.read_bytes()
    path.write_bytes(data.draw(damaged(whole) | st.binary(max_size=40)))
    read(ledger, path)
    path.write_bytes(whole)


@pytest.mark.fuzz
@inputs(30, 500)
@given(about=altered(ABOUT) | ANYTHING | TEXTS, tensors=st.dictionaries(NAMES, TENSORS, max_size=4), raw=st.booleans())
def test_a_file_may_hold_any_tensors_and_say_anything(ledger, about, tensors, raw):
    path = ledger.path("a", 1)
    said = str(about) if raw else json.dumps(about)
    save_file(tensors, path, metadata={"about": said.encode("utf-8", "replace").decode()})
    read(ledger, path)


@pytest.mark.fuzz
@inputs(20, 300)
@given(content=st.binary(max_size=40) | ANYTHING.map(lambda one: json.dumps(one).encode()))
def test_a_branch_may_say_anything(ledger, content):
    (ledger.lane_folder("a") / "branch.json").write_bytes(content)
    try:
        ledger.rounds("a")
    except UserError as error:
        clear(error)
