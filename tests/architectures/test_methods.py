"""Every method on every family, in one round of three facts with few steps; and what the table of anatomy promises."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from core.editing import methods
from core.editing.lane.method import STATES, WEIGHTS, Recipe
from core.editing.lane.results import RoundUpdate
from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.settings.parameters import parameters
from core.models.forward import score
from core.models.language_model import LanguageModel
from core.models.loading import load_model
from tests import toys
from tests.editing.common import FACTS, changing, session_of

USUAL: dict[str, Any] = {
    "layers": [1, 2], "steps": 12, "lr": 0.3, "relative_lr": True, "clamp": 4.0, "weight_decay": 0.001, "contexts": 0,
    "lambda": 1.0, "ridge": 0.01, "relative": True, "threshold": 1.0, "beta": 0.1,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "ft_l": {"lr": 0.003}, "ft_m": {"lr": 0.003}, "mose_oft": {"lr": 0.003},
    "locft": {"lr": 0.003},
    "ultraedit": {"eta": None, "ridge": None, "step": 1.0},
    "alphaedit": {"threshold": 100.0, "beta": 0.01},
    "lora": {"lr": 0.01}, "adalora": {"lr": 0.01},
    "grace": {"layers": [2], "warm": True, "eps": None},
    "wise": {"layers": [2]},
    "mend": {"steps": 2, "lr": 1e-4, "edit_lr": 1e-3, "taught": 6, "batch": 2, "rank": 4},
    "pmet": {"clamp": 1.0, "steps": 20},  # only one of its two δ is written: neither may do it alone
}  # fmt: skip
NORMED = ["gemma2", "gemma3_text"]
SOON = ("llama", "gpt2")  # the others take as long each
FAMILIES = [family if family in SOON else pytest.param(family, marks=pytest.mark.slow) for family in toys.CONFIGS]


@pytest.fixture(scope="session")
def statistics() -> Callable[[LanguageModel], EditSession]:
    """The statistics of a model, gathered once."""
    known: dict[int, EditSession] = {}
    return lambda lm: known.get(id(lm)) or known.setdefault(id(lm), session_of(lm))


def recipe_for(lm: LanguageModel, method: str, **settings: Any) -> Recipe:
    known = {parameter.name for parameter in parameters(methods.get(method))}
    usual = {name: value for name, value in {**USUAL, **OWN.get(method, {}), **settings}.items() if name in known}
    return recipe_from_dict({"method": method, **usual}, model_info(lm))


def edited(
    lm: LanguageModel, session: EditSession, method: str, **settings: Any
) -> tuple[dict[int, torch.Tensor], RoundUpdate]:
    recipe = recipe_for(lm, method, **settings)
    state = LaneState.base(lm, recipe.layers)
    update = edit_round(lm, state, FACTS, recipe, session)
    state.apply(update)
    return state.worn, update


def loss(lm: LanguageModel, weights: dict[int, torch.Tensor]) -> float:
    with lm.worn(weights):
        return -float(score(lm, [f.text for f in FACTS], [f.target for f in FACTS]).logprob.mean())


@pytest.mark.parametrize("method", changing(WEIGHTS, STATES))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_makes_the_targets_likelier(toy, statistics, family, method):
    lm = toy(family, "float32")
    weights, _ = edited(lm, statistics(lm), method)
    assert loss(lm, weights) < loss(lm, {}) - 0.02


@pytest.mark.parametrize("family", [family for family in toys.CONFIGS if family not in NORMED])
def test_what_is_solved_for_arrives_in_the_residual_stream(toy, statistics, family):
    """The last layer's output at the subject is z: down-projection, orientation, bias and block output are right."""
    _, update = edited(toy(family), statistics(toy(family)), "memit", **{"lambda": 1e-9, "ridge": 1e-6})
    assert update.residual_before[1] > 0.9
    assert update.residual_after[2] < 1e-4


@pytest.mark.parametrize("gain", [0.2, 8.0], ids=["low", "high"])
@pytest.mark.parametrize("family", NORMED)
def test_behind_a_norm_the_output_points_where_it_should(folder, family, gain):
    lm = load_model(str(folder(family)), device="cpu", dtype="float64")
    norm = lm.ffn_end(2)
    norm.weight.mul_(0.3).add_(gain - 1)  # these norms multiply by 1 + weight
    output, change = torch.randn(2, lm.d_model, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    output, change = 3 * output, gain * change
    added = lm.before_norm(2, change, output)
    torch.testing.assert_close((output + added).norm(dim=0), output.norm(dim=0))
    found = norm((output + added).T) / (1 + norm.weight)
    wanted = (norm(output.T) + change.T) / (1 + norm.weight)
    torch.testing.assert_close(torch.cosine_similarity(found, wanted), torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize("family", NORMED)
def test_without_minding_the_norm_a_strong_one_spoils_the_edit(folder, family):
    """Ablation, at a gain like those of trained models: the same recipe with and without the table's `after`."""
    lm = load_model(str(folder(family)), device="cpu", dtype="float32")
    for layer in (1, 2):
        lm.ffn_end(layer).weight.add_(7)
    session = session_of(lm)
    _, update = edited(lm, session, "memit")
    lm.anatomy = replace(lm.anatomy, after="")
    _, blindly = edited(lm, session, "memit")
    assert update.residual_after[2] < blindly.residual_after[2]
    assert update.updates[2].norm() < blindly.updates[2].norm() / 3


@pytest.mark.parametrize("method", changing(WEIGHTS))
def test_both_ways_of_storing_give_the_same_update(toy, linear_twin, method):
    """A GPT-2 whose down-projections are swapped for linear layers with the same map is edited the same."""
    updates = [edited(lm, session_of(lm), method)[1].updates for lm in (toy("gpt2"), linear_twin)]
    assert updates[0].keys() == updates[1].keys()
    for layer, update in updates[0].items():
        dense = update.dense()
        assert dense.shape == (32, 96)
        torch.testing.assert_close(updates[1][layer].dense(), dense, rtol=1e-7, atol=1e-9 * float(dense.abs().max()))


@pytest.fixture(scope="session")
def linear_twin(folder) -> LanguageModel:
    """The tiny GPT-2 with its Conv1D down-projections swapped for `nn.Linear`, in float64."""
    twin = load_model(str(folder("gpt2")), device="cpu", dtype="float64")
    for block in twin.layers:
        old = block.mlp.c_proj
        new = nn.Linear(old.nx, old.nf, dtype=torch.float64)
        new.weight.data, new.bias.data = old.weight.data.T.contiguous(), old.bias.data
        block.mlp.c_proj = new.requires_grad_(False)
    return LanguageModel(twin.model, twin.tokenizer, replace(twin.anatomy, conv1d=False), "twin")
