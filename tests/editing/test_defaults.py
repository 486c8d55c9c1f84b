"""Published settings, number by number, and what a model gets for which there are none."""

from dataclasses import replace
from statistics import median

import pytest
import torch

from core.editing.methods.alphaedit import AlphaEdit
from core.editing.methods.emmet import Emmet
from core.editing.methods.memit import Memit, weight
from core.editing.methods.nse import Nse
from core.editing.recipe import defaults, prior_usual, recipe_from_dict
from core.editing.settings.defaults import UNKNOWN, ModelInfo, by_name, statistics_tokens
from core.editing.settings.parameters import build, values
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


QWEN_15 = ModelInfo("Qwen/Qwen2.5-1.5B", "qwen2", 28, 1536, 151936)
LLAMA_2_13 = ModelInfo("meta-llama/Llama-2-13b-hf", "llama", 40, 5120, 32000)
YI = ModelInfo("01-ai/Yi-6B", "llama", 32, 4096, 64000)
MISTRAL_3 = ModelInfo("mistralai/Mistral-7B-v0.3", "mistral", 32, 4096, 32768)
LOCATE = ("memit", "rome", "r_rome", "emmet", "pmet", "nse", "alphaedit", "ft_l", "ft_m", "mose_oft")


@pytest.mark.parametrize("model", [QWEN_15, YI, MISTRAL_3, OWN], ids=lambda model: model.reference)
@pytest.mark.parametrize("method", LOCATE)
def test_a_model_of_another_shape_gets_nobody_elses_settings(model, method):
    """Depth alone does not make Qwen2.5-1.5B a 7B, nor the vocabulary of one model another's."""
    assert not any(one.reason.startswith("From ") for one in defaults(model, method).values())


def test_moses_fixed_layer_is_romes_where_that_is_published():
    for model, layer in ((GPT2_XL, 17), (GPT_J, 5), (LLAMA_2, 5), (LLAMA_31, 5), (QWEN, 5)):
        assert defaults(model, "mose")["fixed_layer"].value == layer
        assert "configuration of ROME" in defaults(model, "mose")["fixed_layer"].reason or model in (GPT2_XL, GPT_J)
    for model in (QWEN_15, YI, OWN):
        assert "No published setting for this model" in defaults(model, "mose")["fixed_layer"].reason


def test_what_was_published_for_llama_2_13b():
    assert defaults(LLAMA_2_13, "mose_oft")["layers"].value == (19, 20, 21)
    for method in ("memit", "rome", "emmet", "pmet", "nse", "alphaedit", "ft_l"):
        assert not any(one.reason.startswith("From ") for one in defaults(LLAMA_2_13, method).values()), method


def test_nse_has_bounds_of_the_three_models_that_it_was_published_for_and_shares_elsewhere():
    for model in (GPT2_XL, GPT_J, LLAMA_3, LLAMA_31):
        assert recipe_from_dict({"method": "nse"}, model).method.bounds == "absolute"
    for model in (LLAMA_2, QWEN, MISTRAL, YI, OWN):
        assert recipe_from_dict({"method": "nse"}, model).method.bounds == "relative"


def test_the_label_says_whose_settings_they_are():
    assert defaults(GPT_J, "memit")["lr"].reason == "From the MEMIT authors' configuration for GPT-J-6B."
    same = defaults(LLAMA_31, "memit")["lr"].reason
    assert "for Llama-3-8B, which has the same shape" in same
    assert "for Llama-3-8B, whose" not in defaults(LLAMA_3, "memit")["lr"].reason
    assert defaults(QWEN, "rome")["layers"].reason == "From EasyEdit's configuration of ROME for Qwen2.5-7B."
    assert defaults(QWEN, "alphaedit")["beta"].reason.startswith("Not published for this model")
    assert "No published setting" in defaults(QWEN_15, "rome")["layers"].reason


def test_where_a_model_does_not_tell_its_width_its_name_has_to():
    assert defaults(ModelInfo("meta-llama/Meta-Llama-3-8B", "llama", 32), "nse")["bounds"].value == "absolute"
    assert "bounds" not in defaults(ModelInfo("/models/mine", "llama", 32), "nse")
    assert "bounds" in defaults(ModelInfo("/models/mine", "llama", 32, 4096, 128256), "nse")


FASTEDIT = {  # Table 3
    (GPT2_XL, "counterfact"): (1852, 1852, 1852), (GPT2_XL, "zsre"): (1852, 1852, 2820),
    (GPT_J, "counterfact"): (5911, 5911, 5911), (GPT_J, "zsre"): (3326, 3326, 5911),
    (LLAMA_3, "counterfact"): (5958, 9104, 1472), (LLAMA_3, "zsre"): (3875, 3875, 1472),
}  # fmt: skip


@pytest.mark.parametrize("case", FASTEDIT, ids=lambda case: f"{case[0].reference} {case[1]}")
def test_the_low_rank_prior_brings_its_papers_settings(case):
    model, facts = case
    layers = {GPT2_XL: XL, GPT_J: J, LLAMA_3: EARLY}[model]
    for method, rank in zip(("memit", "emmet", "alphaedit"), FASTEDIT[case], strict=True):
        recipe = recipe_from_dict({"method": method, "prior": "lowrank"}, replace(model, facts=facts))
        assert (recipe.prior.rank, recipe.layers) == (rank, layers)
        assert values(recipe.method).get("lambda", 15000.0) == 15000.0
        plain = recipe_from_dict({"method": "memit"}, model).method
        assert (recipe.method.lr, recipe.method.clamp, recipe.method.steps) == (plain.lr, plain.clamp, plain.steps)


def test_what_a_lane_of_the_prior_says_itself_stands():
    lane = {"method": "emmet", "prior": {"name": "lowrank", "energy": 0.6}, "layers": [5], "lambda": 1}
    recipe = recipe_from_dict(lane, GPT_J)
    assert (recipe.prior.rank, recipe.prior.energy, recipe.layers, recipe.method.lambda_) == (None, 0.6, (5,), 1.0)
    assert recipe_from_dict({"method": "emmet", "prior": {"name": "lowrank", "rank": 7}}, GPT_J).prior.rank == 7
    assert recipe_from_dict({"method": "emmet"}, GPT_J).layers == (5,)
    assert recipe_from_dict({"method": "memit", "prior": "lowrank"}, LLAMA_2).prior.rank is None


def test_typed_facts_get_counterfacts_rank_and_are_told_so():
    here = {"method": "memit", "prior": "lowrank"}
    assert prior_usual(here, LLAMA_3)["rank"].value == 5958
    assert "to neither data set" in prior_usual(here, LLAMA_3)["rank"].reason
    assert "neither" not in prior_usual(here, replace(LLAMA_3, facts="zsre"))["rank"].reason


def test_the_embedded_model_keeps_its_ridge_with_either_prior():
    """What the two lanes then differ in besides the prior is whether earlier keys are protected."""
    pocket = ModelInfo("pocket", "llama", 8, 256, 12000)
    full, low = (recipe_from_dict({"method": "memit", "prior": prior}, pocket).method for prior in ("full", "lowrank"))
    assert low == replace(full, history=True)
    assert full.ridge == 10.0


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


def test_smollm2_has_its_layers_with_a_reason_by_its_name_and_by_its_shape():
    for model in (by_name("smollm2"), ModelInfo("/home/me/model", "llama", 30, 576, 49152)):
        own = defaults(model, "memit")
        assert own["layers"].value == EARLY
        assert "causal trace" in own["layers"].reason
        assert own["lr"] == UNKNOWN["lr"]
        assert statistics_tokens(model) == 60_000
    assert statistics_tokens(OWN) == 100_000
