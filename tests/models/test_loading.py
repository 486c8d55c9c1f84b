"""References that are right load; those that are wrong are explained in a line."""

import json
import pathlib
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BartConfig, BertConfig, BertForMaskedLM

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


@pytest.mark.parametrize("device", ["abacus", "meta", "vulkan", "xpu", "cpu:7", "cuda:-1", "", "cuda:9999999999"])
def test_devices_that_are_none(folder, device):
    with pytest.raises(UserError, match="auto, cpu, cuda"):
        load_model(str(folder), device=device)


def test_devices(folder):
    with pytest.raises(UserError, match="mps.*Use .auto. or .cpu"):
        load_model(str(folder), device="mps")
    with pytest.raises(UserError, match=r"cuda:99.*GPUs"):
        load_model(str(folder), device="cuda:99")


@pytest.fixture
def copy(tmp_path, folder):
    """A model folder of one's own: `copy(change)` gives it with its tensors changed by `change(tensors)`."""

    def made(change=None):
        place = tmp_path / "model"
        shutil.copytree(folder, place)
        if change is not None:
            tensors = load_file(place / "model.safetensors")
            change(tensors)
            save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
        return place

    return made


def refused(place):
    with pytest.raises(UserError) as caught:
        load_model(str(place), device="cpu")
    said = str(caught.value)
    assert "\n" not in said
    assert not any(word in said for word in ("Traceback", "Error", "_rust", "torch.load", "<class"))
    return said


DOWN = "model.layers.1.mlp.down_proj.weight"


def test_a_checkpoint_without_a_layer_is_refused_by_name(copy):
    place = copy(lambda tensors: [tensors.pop(name) for name in list(tensors) if "layers.2." in name])
    said = refused(place)
    assert "lacks model.layers.2.input_layernorm.weight" in said
    assert "and 5 more" in said


def test_a_head_that_is_tied_need_not_be_there_and_one_that_is_not_must(copy, tmp_path):
    tied = toys.tiny(tmp_path / "tied", "qwen2")
    assert "lm_head.weight" not in load_file(tied / "model.safetensors")
    assert load_model(str(tied), device="cpu").n_layers == 4
    assert "lacks lm_head.weight" in refused(copy(lambda tensors: tensors.pop("lm_head.weight")))


def test_weights_of_another_shape_are_refused_with_both_shapes(copy):
    said = refused(copy(lambda tensors: tensors.update({DOWN: torch.zeros(3, 5)})))
    assert f"{DOWN} ((3, 5), not (32, 80))" in said


def test_weights_that_are_no_numbers_are_refused(copy):
    def broken(tensors):
        tensors[DOWN][3, 4] = float("nan")

    assert f"NaN or infinite numbers in {DOWN}" in refused(copy(broken))


def test_weights_that_the_model_does_not_have_are_told(copy):
    place = copy(lambda tensors: tensors.update({"model.layers.9.mlp.down_proj.weight": torch.zeros(3, 5)}))
    (note,) = load_model(str(place), device="cpu").notes
    assert "weights that its model does not have: model.layers.9.mlp.down_proj.weight" in note


@pytest.mark.parametrize("cut", [0, 5, 300, -10])
def test_a_truncated_file_of_weights_is_named(copy, cut):
    place = copy()
    path = place / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    assert "model.safetensors is cut off or damaged" in refused(place)


@pytest.mark.parametrize("content", [b"\xff" * 100, b"x" * 5000, b"\xff" * 8 + b"{}"])
def test_a_damaged_file_of_weights_is_named(copy, content):
    place = copy()
    (place / "model.safetensors").write_bytes(content)
    assert "model.safetensors is cut off or damaged" in refused(place)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b""])
def test_a_damaged_file_of_settings_is_named(copy, name, content):
    place = copy()
    (place / name).write_bytes(content)
    try:
        load_model(str(place), device="cpu")
    except UserError:
        assert f"{name} cannot be read" in refused(place)
    else:
        assert name == "generation_config.json"  # which transformers can do without


def test_an_evil_pickle_is_not_run(copy, tmp_path):
    class Evil:
        def __reduce__(self):
            return pathlib.Path.touch, (tmp_path / "run",)

    place = copy()
    (place / "model.safetensors").unlink()
    torch.save({"model.norm.weight": Evil()}, place / "pytorch_model.bin")
    assert "code besides tensors, which is not run. Give a checkpoint in safetensors" in refused(place)
    assert not (tmp_path / "run").exists()
    (place / "pytorch_model.bin").write_bytes(b"")
    refused(place)
    (place / "pytorch_model.bin").write_bytes(b"PK\x03\x04 no archive")
    refused(place)


def test_a_shard_that_is_missing_is_named(copy):
    place = copy()
    (place / "model.safetensors").rename(place / "model-00001-of-00002.safetensors")
    files = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (place / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    assert "model-00002-of-00002.safetensors is missing" in refused(place)


def test_a_vocabulary_smaller_than_the_tokenizers(copy):
    def smaller(tensors):
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            tensors[name] = tensors[name][:390].clone()

    place = copy(smaller)
    settings = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(settings | {"vocab_size": 390}))
    said = refused(place)
    assert "tokens that the model has no embedding for (390 rows)" in said
    assert "resize_token_embeddings" in said


def test_a_special_token_past_the_embeddings_is_told_where_a_text_holds_it(copy):
    place = copy()
    words = AutoTokenizer.from_pretrained(place)
    words.add_special_tokens({"additional_special_tokens": ["<image>"]})
    words.save_pretrained(place)
    lm = load_model(str(place), device="cpu")
    assert lm.encode("The capital")
    with pytest.raises(UserError, match="holds <image>, which .* has no embedding for"):
        lm.encode("The <image> is")


def test_an_encoder_is_refused(tmp_path):
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    words = toys.tokenizer()
    words.save_pretrained(tmp_path)
    BertForMaskedLM(BertConfig(**shape, vocab_size=len(words))).save_pretrained(tmp_path)
    assert "(BertLMHeadModel) is an encoder" in refused(tmp_path)


def test_an_encoder_with_a_decoder_is_refused(tmp_path):
    toys.tokenizer().save_pretrained(tmp_path)
    BartConfig(d_model=32, encoder_layers=1, decoder_layers=1).save_pretrained(tmp_path)
    assert "(bart) is an encoder and a decoder" in refused(tmp_path)


@pytest.mark.parametrize("family", toys.CONFIGS)
def test_no_family_is_taken_for_an_encoder(tmp_path, family):
    assert load_model(str(toys.tiny(tmp_path, family)), device="cpu").notes == ()
