"""Whatever is wrong with a model's folder, it loads, or one clear line says why not."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.models.loading import load_model
from tests import toys
from tests.fuzzing import ANYTHING, altered, clear, damaged, inputs


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return toys.tiny_llama(tmp_path_factory.mktemp("model"), layers=1)


def loaded(folder):
    try:
        lm = load_model(str(folder), device="cpu")
    except UserError as error:
        clear(str(error).replace(str(folder), ""))
    else:
        assert len(lm.encode("The capital of France is")) > 1


def written(folder, model, name, content):
    """A folder with one file of the model replaced."""
    if not folder.exists():
        shutil.copytree(model, folder)
    for path in model.iterdir():
        shutil.copyfile(path, folder / path.name)
    (folder / name).write_bytes(content)
    return folder


@pytest.mark.fuzz
@inputs(15, 500)
@given(data=st.data())
def test_a_file_of_weights_may_hold_anything(tmp_path, model, data):
    whole = (model / "model.safetensors").read_bytes()
    header = whole[:2_000]
    content = data.draw(st.one_of(st.binary(max_size=40), damaged(header).map(lambda new: new + whole[2_000:])))
    loaded(written(tmp_path / "model", model, "model.safetensors", content))


SMALL = st.sampled_from([None, -1, 0, 1, 3, 33, 1.5, "x", "", [], {}, True, "float32", "gelu"])


@pytest.mark.fuzz
@inputs(15, 500)
@given(data=st.data())
def test_a_configuration_may_say_anything(tmp_path, model, data):
    settings = json.loads((model / "config.json").read_text())
    made = data.draw(altered(settings, parts=SMALL, most=1))
    loaded(written(tmp_path / "model", model, "config.json", json.dumps(made).encode()))


@pytest.mark.fuzz
@inputs(15, 400)
@given(data=st.data(), name=st.sampled_from(["tokenizer.json", "tokenizer_config.json", "generation_config.json"]))
def test_a_tokenizers_file_may_hold_anything(tmp_path, model, data, name):
    content = (model / name).read_bytes()
    made = data.draw(damaged(content) | st.binary(max_size=20) | ANYTHING.map(lambda one: json.dumps(one).encode()))
    loaded(written(tmp_path / "model", model, name, made))
