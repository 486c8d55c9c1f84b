"""Published settings, number by number, and what a model gets for which there are none."""

from statistics import median

import pytest
import torch

from core.editing.defaults import UNKNOWN, ModelInfo, defaults
from core.editing.methods.alphaedit import AlphaEdit
from core.editing.methods.emmet import Emmet
from core.editing.methods.memit import Memit, weight
from core.editing.methods.nse import Nse
from core.editing.parameters import build, values
from core.editing.recipe import recipe_from_dict
from tests.editing.algebra import D_IN, EXACT, KEYS, MOMENT, RESIDUAL, context, eye

GPT2_XL = ModelInfo("openai-community/gpt2-xl", "gpt2", 48, 1600, 50257)
GPT_J = ModelInfo("EleutherAI/gpt-j-6b", "gptj", 28, 4096, 50400)
LLAMA_2 = ModelInfo("meta-llama/Llama-2-7b-hf", "llama", 32, 4096, 32000)
LLAMA_3 = ModelInfo("meta-llama/Meta-Llama-3-8B-Instruct", "llama", 32, 4096, 128256)
LLAMA_31 = ModelInfo("meta-llama/Llama-3.1-8B", "llama", 32, 4096, 128256)
MISTRAL = ModelInfo("mistralai/Mistral-7B-v0.1", "mistral", 32, 4096, 32000)
QWEN = ModelInfo("Qwen/Qwen2.5-7B", "qwen2", 28, 3584, 152064)
OWN = ModelInfo("own", "phi3", 24, 2048, 50000)

EARLY, J, XL = (4, 5, 6, 7, 8), (3, 4, 5, 6, 7, 8), (13, 14, 15, 16, 17)
COLUMNS = ("layers", "steps", "lr", "clamp", "weight_decay", "kl", "lambda")
TABLE = [
    ("memit", GPT2_XL, XL, 20, 0.5, 0.75, 0.5, 0.0625, 20000),
    ("memit", GPT_J, J, 25, 0.5, 0.75, 0.5, 0.0625, 15000),
    ("memit", LLAMA_3, EARLY, 25, 0.1, 0.75, 0.5, 0.0625, 15000),
    ("memit", LLAMA_31, EARLY, 25, 0.1, 0.75, 0.5, 0.0625, 15000),
    ("memit", LLAMA_2, EARLY, 25, 0.5, 4, 1e-3, 0.0625, 15000),
    ("memit", MISTRAL, EARLY, 25, 0.5, 4, 1e-3, 0.0625, 15000),
    ("memit", QWEN, EARLY, 25, 0.1, 0.75, 0.5, 0.0625, 15000),
    ("alphaedit", GPT2_XL, XL, 20, 0.5, 0.75, 0.5, 0.0625, None),
    ("alphaedit", GPT_J, J, 25, 0.5, 0.75, 0.5, 0.0625, None),
    ("alphaedit", LLAMA_3, EARLY, 25, 0.1, 0.75, 0.5, 0.0625, None),
    ("alphaedit", QWEN, EARLY, 25, 0.1, 0.75, 0.5, 0.0625, None),
    ("emmet", GPT2_XL, (17,), 20, 0.5, 0.75, 0.5, 0.0625, 1000),
    ("emmet", GPT_J, (5,), 25, 0.5, 0.75, 0.5, 0.0625, 1),
    ("emmet", LLAMA_2, (5,), 25, 0.5, 4, 1e-3, 0.0625, 1),
    ("pmet", GPT_J, J, 30, 0.2, 0.75, 0.5, 1, 6000),
    ("pmet", LLAMA_2, EARLY, 20, 0.5, 1, 0.5, 0.0625, 15000),
    ("nse", GPT2_XL, XL, 20, 0.5, 0.75, 0.5, 0.0625, 10000),
    ("nse", GPT_J, J, 25, 0.5, 0.75, 0.5, 0.0625, 15000),
    ("nse", LLAMA_3, EARLY, 25, 0.1, 0.75, 0.5, 0.0625, 15000),
    ("rome", GPT2_XL, (17,), 20, 0.5, 4, 0.5, 0.0625, None),
    ("rome", GPT_J, (5,), 20, 0.5, 4, 0.5, 0.0625, None),
    ("rome", LLAMA_2, (5,), 25, 0.5, 4, 1e-3, 0.0625, None),
    ("rome", LLAMA_3, (5,), 25, 0.5, 4, 1e-3, 0.0625, None),
    ("rome", MISTRAL, (5,), 25, 0.5, 4, 1e-3, 0.0625, None),
    ("rome", QWEN, (5,), 25, 0.5, 4, 1e-3, 0.0625, None),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {row[1].reference}")
def test_published_settings_are_the_published_ones(row):
    method, model, *numbers = row
    found = values(recipe_from_dict({"method": method}, model).method)
    for name, wanted in zip(COLUMNS, numbers, strict=True):
        if wanted is not None:
            assert found[name] == (list(wanted) if isinstance(wanted, tuple) else wanted), name


def test_settings_beside_the_table():
    def of(method: str, model: ModelInfo) -> dict:
        return values(recipe_from_dict({"method": method}, model).method)

    assert [of("rome", m)["moment"] for m in (GPT2_XL, GPT_J, LLAMA_3, MISTRAL, QWEN)] == [True, True] + [False] * 3
    assert [of("nse", m)["neurons"] for m in (GPT2_XL, GPT_J, LLAMA_3)] == [1.0, 0.8, 1.0]
    bounds = [(of("nse", m)["lower"], of("nse", m)["upper"]) for m in (GPT2_XL, GPT_J, LLAMA_3)]
    assert bounds == [(35, 150), (15, 100), (2.5, 50)]
    assert [of("alphaedit", m)["beta"] for m in (GPT2_XL, GPT_J, LLAMA_3)] == [10.0] * 3
    assert all(of("alphaedit", m)["threshold"] == 0.02 for m in (GPT2_XL, GPT_J, LLAMA_3))
    lowrank = recipe_from_dict({"method": "memit", "prior": "lowrank"}, GPT_J)
    assert (lowrank.method.history, lowrank.prior.gamma, lowrank.prior.interval, lowrank.prior.max_rank) == (
        True, 0.99, 500, 3000,
    )  # fmt: skip


def test_each_says_where_it_is_from():
    for method, model, *_ in TABLE:
        assert all(one.reason for one in defaults(model, method).values())
    assert "EasyEdit's has lr .5" in defaults(QWEN, "memit")["lr"].reason


@pytest.mark.parametrize(
    "model",
    [
        ModelInfo("Qwen/Qwen2.5-1.5B", "qwen2", 28, 1536, 151936),
        ModelInfo("01-ai/Yi-6B", "llama", 32, 4096, 64000),
        ModelInfo("openai-community/gpt2", "gpt2", 12, 768, 50257),
        OWN,
    ],
    ids=lambda model: model.reference,
)
def test_models_without_published_settings_get_careful_ones_with_reasons(model):
    usual = defaults(model, "memit")
    assert "No published setting" in usual["layers"].reason
    config = build(Memit, {name: one.value for name, one in usual.items()}, "memit")
    assert (config.lambda_, config.relative_lr, config.lr, config.clamp) == (None, True, 0.1, 0.75)
    assert all(one.reason for one in usual.values())
    alphaedit = recipe_from_dict({"method": "alphaedit"}, model).method
    assert (alphaedit.relative, alphaedit.beta) == (True, None)
    for method in ("emmet", "pmet", "nse", "memit_svdtrunc"):
        assert recipe_from_dict({"method": method}, model).method.lambda_ is None
    assert recipe_from_dict({"method": "rome"}, model).method.clamp == 4.0


def test_what_a_lane_says_is_taken_as_it_says_it():
    said = recipe_from_dict({"method": "memit", "lambda": 500, "lr": 0.3}, OWN).method
    assert (said.lambda_, said.lr, said.relative_lr) == (500.0, 0.3, False)
    said = recipe_from_dict({"method": "alphaedit", "threshold": 0.1, "beta": 2}, OWN).method
    assert (said.threshold, said.relative, said.beta) == (0.1, False, 2.0)


def test_the_published_lambdas_are_about_the_size_of_a_typical_key():
    widths = {GPT2_XL: 6400, GPT_J: 16384, LLAMA_2: 11008, LLAMA_3: 14336, MISTRAL: 14336, QWEN: 18944}
    ratios = [defaults(model, "memit")["lambda"].value / width for model, width in widths.items()]
    assert 0.79 < min(ratios) < max(ratios) < 3.13
    assert median(ratios) == pytest.approx(1, abs=0.05)
    assert ".8 to 3 times" in UNKNOWN["lambda"].reason


@pytest.mark.parametrize("ridge", [0.0, 0.3, 10.0])
def test_a_measured_lambda_is_a_typical_keys_size(ridge):
    here = context()
    raised = MOMENT + ridge * MOMENT.trace() / D_IN * eye(D_IN)
    expected = float((torch.linalg.inv(raised) @ MOMENT).trace())
    assert weight(here, None, ridge) == pytest.approx(expected, rel=1e-9)
    assert weight(here, 7.0, ridge) == 7.0
    assert here.notes == [f"Layer 3: λ = {expected:,.0f}, the measured size of a typical key."]
    scaled = context(moment=1e6 * MOMENT)
    assert weight(scaled, None, ridge) == pytest.approx(expected, rel=1e-6)
    for method in (Memit, Emmet, Nse):
        more = {"rho": 0.1} if method is Emmet else {"neurons": 0.8} if method is Nse else {}
        found = method(lambda_=None, ridge=ridge, **more).update(KEYS, RESIDUAL, context())
        given = method(lambda_=expected, ridge=ridge, **more).update(KEYS, RESIDUAL, context())
        torch.testing.assert_close(found.dense(), given.dense(), **EXACT)


def test_inputs_that_never_speak_are_not_counted():
    moment = MOMENT.clone()
    moment[3], moment[:, 3] = 0, 0
    assert weight(context(moment=moment), None, 0.0) == D_IN - 1


@pytest.mark.parametrize("threshold", [0.3, 1.5])
def test_a_measured_beta_is_what_is_left_of_a_typical_keys_square(threshold):
    method, here = AlphaEdit(threshold=threshold, relative=True, beta=None), context()
    values_, vectors = torch.linalg.eigh(MOMENT)
    expected = float(values_[values_ < threshold * values_.mean()].sum())
    found = method.update(KEYS, RESIDUAL, here)
    assert f"β = {expected:.3g}" in " ".join(here.notes)
    given = AlphaEdit(threshold=threshold, relative=True, beta=expected).update(KEYS, RESIDUAL, context())
    torch.testing.assert_close(found.dense(), given.dense(), rtol=1e-8, atol=1e-10)
