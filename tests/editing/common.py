"""What the editing tests share: facts, settings, and shorthands."""

from functools import cache

from torch import Tensor

from core.editing import methods
from core.editing.lane.method import Recipe, Round
from core.editing.lane.results import Values
from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.procedures import target_values
from core.editing.settings.parameters import parameters
from core.editing.statistics.second_moment import SecondMoment, second_moments
from core.editing.values.keys import Reading, prompts
from core.facts.fact import Fact
from core.models.language_model import LanguageModel
from tests import toys

FACTS = [
    Fact(subject="France", prompt="The capital of {} is", target="Rome", truth="Paris"),
    Fact(subject="Ada Marlow", prompt="{} was born in", target="Lyon", truth="Vienna"),
    Fact(subject="Bruno Keller", prompt="Bruno Keller knows that {} speaks", target="like the river"),
]
SETTINGS = {
    "method": "memit", "layers": [0, 1, 2], "lambda": 1.0, "ridge": 0.01, "lr": 0.02, "clamp": 4.0,
    "weight_decay": 0.001, "contexts": 2, "context_length": 6,
}  # fmt: skip


@cache
def moments_of(lm: LanguageModel) -> dict[int, SecondMoment]:
    """Gathered once: whoever reads a moment gets a tensor of its own."""
    return second_moments(lm, [0, 1, 2], toys.SENTENCES * 2, 500)


def changing(*what: str) -> list[str]:
    """The names of the methods that change this: "weights", "states" or "prompt"."""
    return [name for name in methods.names() if methods.get(name).changes in what]


def session_of(lm: LanguageModel) -> EditSession:
    """A new session, in which nothing is kept yet."""
    return EditSession(lm, dict(moments_of(lm)))


def recipe_of(lm: LanguageModel, *guards: dict, **settings: object) -> Recipe:
    method = settings.get("method", SETTINGS["method"])
    known = {"method", *(parameter.name for parameter in parameters(methods.get(method)))}
    usual = {name: value for name, value in SETTINGS.items() if name in known}
    return recipe_from_dict({**usual, "guards": list(guards), **settings}, model_info(lm))


def values_of(lm: LanguageModel, state: LaneState, facts: list[Fact], recipe: Recipe, session: EditSession) -> Values:
    return target_values(Round(lm, state, facts, recipe, session))


def keys(lm: LanguageModel, facts: list[Fact], layer: int, contexts: list[str]) -> Tensor:
    return Reading(lm, prompts(lm, facts, contexts)).at(layer, layer).key
