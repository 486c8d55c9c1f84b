"""Lanes become recipes; what is wrong with them is told; nothing of it needs torch."""

import subprocess
import sys
from typing import get_type_hints

import pytest

from core.editing import guards, methods, priors, wrappers
from core.editing.methods.memit import Memit
from core.editing.recipe import defaults, recipe_from_dict
from core.editing.settings.defaults import POCKET, ModelInfo, relative_layers, statistics_tokens
from core.editing.settings.parameters import build, parameters, values
from core.errors import UserError

LLAMA3 = ModelInfo("meta-llama/Meta-Llama-3-8B-Instruct", "llama", 32, 4096, 128256)
POCKET_INFO = ModelInfo("pocket", "llama", 8, 320, 3072)


def test_a_lane_is_resolved_from_the_models_defaults():
    recipe = recipe_from_dict(
        {"method": "memit", "lambda": 100, "guards": [{"name": "revive", "tau": 0.05}], "name": "mine"}, LLAMA3
    )
    assert recipe.layers == (4, 5, 6, 7, 8)
    assert (recipe.method.lambda_, recipe.method.lr, recipe.method.clamp) == (100.0, 0.1, 0.75)
    assert (recipe.label, recipe.guards[0].tau, recipe.match) == ("mine", 0.05, None)
    again = recipe_from_dict(recipe.as_dict())
    assert again == recipe
    assert recipe.as_dict()["lambda"] == 100.0
    assert recipe.as_dict()["guards"] == [{"name": "revive", "tau": 0.05, "basis": "original", "by": "energy"}]


def test_a_lane_without_a_model_has_no_layers_yet():
    recipe = recipe_from_dict({"method": "memit"})
    assert recipe.label == "MEMIT"
    with pytest.raises(UserError, match="no layers"):
        _ = recipe.layers


@pytest.mark.parametrize(
    "lane, told",
    [
        ({}, "needs a method: .*memit"),
        ({"method": "memitt"}, 'did you mean "memit"'),
        ({"method": "memit", "lamda": 1}, 'did you mean "lambda"'),
        ({"method": "memit", "lambda": -1.0}, "lambda should be > 0"),
        ({"method": "memit", "lambda": "much"}, "should be of type float"),
        ({"method": "memit", "lambda": float("inf")}, "lambda"),
        ({"method": "memit", "steps": 2.5}, "should be of type int"),
        ({"method": "memit", "steps": True}, "should be of type int"),
        ({"method": "memit", "history": 1}, "should be of type bool"),
        ({"method": "memit", "lr": None}, "lr needs a value"),
        ({"method": "memit", "layers": [5, 4]}, "ascending order"),
        ({"method": "memit", "layers": []}, "ascending order"),
        ({"method": "memit", "layers": [31, 32]}, "layers 0 to 31"),
        ({"method": "memit", "prior": "lowrnk"}, 'did you mean "lowrank"'),
        ({"method": "memit", "prior": {"name": "lowrank", "gama": 1.0}}, 'did you mean "gamma"'),
        ({"method": "memit", "prior": {"alpha": 1.0}}, "A prior is a name"),
        ({"method": "memit", "wrapper": "simi"}, 'did you mean "simie"'),
        ({"method": "memit", "wrapper": {"name": "simie", "lamda": 1.0}}, 'did you mean "lambda"'),
        ({"method": "memit", "context_seeds": "bees"}, "one of words, bos"),
        ({"method": "memit", "guards": [{"name": "revive", "tau": 0}]}, "tau should be > 0"),
        ({"method": "memit", "guards": [{"name": "revive", "tao": 0.1}]}, 'did you mean "tau"'),
        ({"method": "memit", "guards": [{"name": "shrink"}]}, "either"),
    ],
)
def test_what_is_wrong_is_told(lane, told):
    with pytest.raises(UserError, match=told):
        recipe_from_dict(lane, LLAMA3)


def test_the_matched_lane_and_its_solved_factor():
    recipe = recipe_from_dict({"method": "memit", "guards": [{"name": "shrink", "match": "other"}]}, LLAMA3)
    assert recipe.match == "other"
    solved = recipe.with_factor(0.5)
    assert (solved.match, solved.guards[0].factor) == (None, 0.5)


@pytest.mark.parametrize("package", [methods, guards, priors, wrappers], ids=lambda p: p.__name__)
def test_every_hyperparameter_describes_itself(package):
    for name in package.names():
        config = package.get(name)
        assert config.title
        get_type_hints(config)  # the spec's checks read them
        for parameter in parameters(config):
            assert parameter.help
            assert parameter.kind in ("int", "float", "bool", "str", "layers")


def test_defaults_are_valid_settings_with_reasons():
    known = [
        LLAMA3, POCKET_INFO, ModelInfo("gpt2-xl", "gpt2", 48), ModelInfo("EleutherAI/gpt-j-6b", "gptj", 28),
        ModelInfo("meta-llama/Llama-2-7b-hf", "llama", 32), ModelInfo("Qwen/Qwen2.5-7B", "qwen2", 28),
        ModelInfo("mistralai/Mistral-7B-v0.1", "mistral", 32), ModelInfo("own", "phi3", 24),
    ]  # fmt: skip
    for model in known:
        usual = defaults(model, "memit")
        assert all(default.reason for default in usual.values())
        config = build(Memit, {name: default.value for name, default in usual.items()}, "memit")
        assert max(config.layers) < model.n_layers
    assert defaults(ModelInfo("meta-llama/Llama-2-7b-hf", "llama", 32), "memit")["clamp"].value == 4.0
    assert defaults(LLAMA3, "memit")["clamp"].value == 0.75
    assert defaults(POCKET_INFO, "memit") == POCKET
    assert defaults(ModelInfo("/x/pocket-preview/model", "llama", 8), "memit") == POCKET
    assert statistics_tokens(POCKET_INFO) < statistics_tokens(LLAMA3)


@pytest.mark.parametrize("n_layers", [1, 2, 3, 4, 6, 8, 12, 16, 22, 24, 28, 32, 40, 48, 80])
def test_relative_layers_exist(n_layers):
    layers = relative_layers(n_layers)
    assert 1 <= len(layers) <= 5
    assert 0 <= layers[0] <= layers[-1] < n_layers
    assert n_layers < 3 or layers[-1] < n_layers - 1
    assert relative_layers(32) == (4, 5, 6, 7, 8)


def test_values_are_json():
    assert values(Memit(layers=(1, 2)))["layers"] == [1, 2]


def test_recipes_are_read_without_torch():
    code = (
        "import sys; from core.editing.recipe import recipe_from_dict;"
        "recipe_from_dict({'method': 'memit', 'guards': [{'name': 'revive'}, {'name': 'random'},"
        " {'name': 'shrink', 'factor': 0.5}]});"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
