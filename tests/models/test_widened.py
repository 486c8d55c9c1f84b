import pytest
import torch

from core.models.float32_layers import widened
from core.models.hooks import skipping_layers
from core.models.language_model import LanguageModel
from core.models.loading import load_model
from tests import toys


@pytest.fixture(scope="module", params=["llama", "gpt2", "gemma2", "gpt_neox"])
def pair(request, tmp_path_factory) -> tuple[LanguageModel, LanguageModel]:
    """A model in bfloat16, and the same numbers in float32."""
    folder = toys.FAMILIES[request.param](tmp_path_factory.mktemp(request.param))
    narrow = load_model(str(folder), device="cpu", dtype="bfloat16")
    narrow.model.save_pretrained(folder / "narrow")
    narrow.tokenizer.save_pretrained(folder / "narrow")
    return narrow, load_model(str(folder / "narrow"), device="cpu", dtype="float32")


def outputs(lm, ids, layers):
    """What each layer gives, and the logits."""
    found = {}
    handles = [
        lm.layers[i].register_forward_hook(
            lambda _, __, out, i=i: found.update({i: out[0] if type(out) is tuple else out})
        )
        for i in layers
    ]
    with torch.no_grad():
        logits = lm.model(ids, use_cache=False).logits
    for handle in handles:
        handle.remove()
    return found, logits


def test_layers_compute_what_they_do_in_float32(pair):
    """From the same states below, up to what is rounded before layers begin: the angles of rotary positions."""
    narrow, wide = pair
    ids = torch.tensor([narrow.encode(toys.SENTENCES[0])])
    rounded, _ = outputs(narrow, ids, [0, 1, 2])
    with widened(narrow, 1, 2):
        found, _ = outputs(narrow, ids, [0, 1, 2])
    with skipping_layers(wide, 0, rounded[0].float()):
        exact, _ = outputs(wide, ids, [1, 2])
    assert found[0].equal(rounded[0])
    for layer in (1, 2):
        size = exact[layer].norm()
        off, before = (float((each[layer].float() - exact[layer]).norm() / size) for each in (found, rounded))
        assert found[1].dtype == torch.float32
        leaves = layer == 2  # and is rounded to bfloat16 there
        assert off < (3e-3 if leaves else 1e-5 if narrow.model_type == "gpt2" else before / 2)


def test_the_model_is_afterwards_what_it_was(pair):
    narrow, _ = pair
    ids = torch.tensor([narrow.encode(toys.SENTENCES[1])])
    before = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in narrow.model.state_dict().items()}
    _, logits = outputs(narrow, ids, [])
    weight = narrow.original(1) * (1 + 2.0**-12)  # less than bfloat16 can tell
    with widened(narrow, 1, 2), narrow.worn({1: weight}):
        assert narrow.down(1).weight.dtype == torch.float32
        worn = narrow.down(1).weight.T if narrow.anatomy.conv1d else narrow.down(1).weight
        assert worn.equal(weight)
        _, other = outputs(narrow, ids, [])  # layers above take what leaves the last one
        assert other.isfinite().all()
    for name, tensor in narrow.model.state_dict().items():
        pointer, value = before[name]
        assert tensor.data_ptr() == pointer
        assert tensor.dtype == value.dtype
        assert tensor.equal(value)
    assert outputs(narrow, ids, [])[1].equal(logits)


def test_a_model_in_float32_is_left_alone(pair):
    _, wide = pair
    ids = torch.tensor([wide.encode(toys.SENTENCES[1])])
    _, logits = outputs(wide, ids, [])
    with widened(wide, 0, 2):
        assert outputs(wide, ids, [])[1].equal(logits)
