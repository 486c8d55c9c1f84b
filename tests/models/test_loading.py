"""References that are right load; those that are wrong are explained in a line."""

import json

import pytest
import torch

from core.errors import UserError
from core.models.loading import load_model, resolve_dtype, resolve_reference
from tests import toys


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toys.tiny_llama(tmp_path_factory.mktemp("assets") / "pocket" / "model")


def test_a_folder_and_the_embedded_model(folder):
    lm = load_model(str(folder), device="cpu")
    assert (lm.n_layers, lm.d_model, lm.d_ffn, lm.dtype) == (4, 32, 80, torch.float32)
    pocket = load_model("pocket", device="cpu", assets=folder.parents[1])
    assert pocket.fingerprint == lm.fingerprint
    assert pocket.reference == "pocket"
    assert not any(p.requires_grad for p in lm.model.parameters())


def test_types(folder):
    assert load_model(str(folder), device="cpu", dtype="bfloat16").dtype == torch.bfloat16
    assert resolve_dtype("auto", torch.device("cpu")) == torch.float32
    with pytest.raises(UserError, match="use auto, float32"):
        resolve_dtype("float8", torch.device("cpu"))


@pytest.mark.parametrize(
    "reference, told",
    [
        ("/no/such/folder", "no model folder"),
        ("./none", "no model folder"),
        ("", "no model folder"),
        ("pocket", "pocket train"),
    ],
)
def test_what_is_not_there(tmp_path, reference, told):
    with pytest.raises(UserError, match=told):
        load_model(reference, device="cpu", assets=tmp_path)


def test_a_name_like_a_hub_id_is_asked_of_the_hub(tmp_path):
    assert resolve_reference("openai-community/gpt2", tmp_path) == ("openai-community/gpt2", False)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        load_model(str(tmp_path), device="cpu")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no_such_type"}))
    with pytest.raises(UserError, match="could not be loaded as a causal language model"):
        load_model(str(tmp_path), device="cpu")


def test_a_folder_without_weights(tmp_path, folder):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(UserError, match="could not be loaded"):
        load_model(str(tmp_path), device="cpu")


def test_devices(folder):
    with pytest.raises(UserError, match="auto, cpu, cuda"):
        load_model(str(folder), device="abacus")
    with pytest.raises(UserError, match=r"cuda:99.*GPUs"):
        load_model(str(folder), device="cuda:99")
