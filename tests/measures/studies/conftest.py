"""Two small lanes as studies see them: three rounds of three facts by MEMIT, with REVIVE and without."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.editing.deltas.ledger import Ledger
from core.editing.lane.results import RoundUpdate
from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.statistics.second_moment import second_moments
from core.facts.fact import Fact
from core.measures.outside.scores import Answers, recall, score_facts, summarise
from core.measures.outside.texts import Texts
from core.measures.study.case import Case
from core.models.language_model import LanguageModel
from tests import toys

LAYERS = [1, 2]
SETTINGS = {
    "method": "memit", "layers": LAYERS, "lambda": 1.0, "ridge": 0.01, "lr": 0.02, "clamp": 4.0,
    "weight_decay": 0.001, "contexts": 2, "context_length": 6, "steps": 8,
}  # fmt: skip
COHORTS = ((0, 1, 2), (3, 4, 5), (6, 7, 8))


@pytest.fixture(scope="session")
def lane(
    lm: LanguageModel, facts: list[Fact], unedited: list[Fact], assets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Case]:
    """lane({"name": "revive", "tau": 0.2}) edits the nine facts with these guards and returns the lane."""
    nine = [*facts, replace(facts[0], subject="Tom Keller")]
    session = EditSession(lm, second_moments(lm, LAYERS, toys.SENTENCES * 2, 500))

    def edit(*guards: dict) -> Case:
        recipe = recipe_from_dict({**SETTINGS, "guards": list(guards)}, model_info(lm))
        state, ledger = LaneState.base(lm, LAYERS), Ledger(tmp_path_factory.mktemp("ledger"))
        scores = {}
        for number, cohort in enumerate(COHORTS, 1):
            update = edit_round(lm, state, [nine[i] for i in cohort], recipe, session)
            state.apply(update)
            ledger.append(recipe.label, number, update)
            with lm.worn(state.weights):
                answers = Answers(lm)
                done = [nine[i] for chosen in COHORTS[:number] for i in chosen]
                scores[number] = summarise(score_facts(answers, done)) | {
                    "edits": len(done),
                    "unedited_recall": sum(recall(answers, unedited)) / len(unedited),
                }
        return Case(
            lm=lm,
            lane=recipe.label,
            recipe=recipe,
            ledger=ledger,
            session=session,
            facts=nine,
            unedited=unedited,
            cohorts=COHORTS,
            scores=scores,
            texts=Texts(toys.SENTENCES, toys.SENTENCES),
            assets=assets,
        )

    return edit


@pytest.fixture(scope="session")
def choosing(
    lm: LanguageModel, facts: list[Fact], unedited: list[Fact], assets: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Case, dict[int, RoundUpdate]]:
    """A lane of MOSE with four candidate layers, of which round 1 edits layer 1, round 2 layer 2 and round 3 layer 1,
    and what each round said of itself."""
    nine = [*facts, replace(facts[0], subject="Tom Keller")]
    session = EditSession(lm, second_moments(lm, range(4), toys.SENTENCES * 2, 500))
    settings = {name: value for name, value in SETTINGS.items() if name not in ("lambda", "ridge")}
    settings |= {"method": "mose", "layers": [0, 1, 2, 3], "select": "fixed"}
    state, ledger, updates = LaneState.base(lm, range(4)), Ledger(tmp_path_factory.mktemp("choosing")), {}
    for number, (cohort, layer) in enumerate(zip(COHORTS, (1, 2, 1), strict=True), 1):
        recipe = recipe_from_dict({**settings, "fixed_layer": layer}, model_info(lm))
        update = updates[number] = edit_round(lm, state, [nine[i] for i in cohort], recipe, session)
        state.apply(update)
        ledger.append(recipe.label, number, update)
    case = Case(
        lm=lm,
        lane=recipe.label,
        recipe=recipe,
        ledger=ledger,
        session=session,
        facts=nine,
        unedited=unedited,
        cohorts=COHORTS,
        scores={t: {"efficacy": t / 10, "neighborhood": 1 - t / 20} for t in (1, 2, 3)},
        texts=Texts(toys.SENTENCES, toys.SENTENCES),
        assets=assets,
    )
    return case, updates


@pytest.fixture(scope="session")
def case(lane: Callable[..., Case]) -> Case:
    """MEMIT + REVIVE, τ = 0.2."""
    return lane({"name": "revive", "tau": 0.2})


@pytest.fixture(scope="session")
def plain_case(lane: Callable[..., Case]) -> Case:
    """MEMIT without a guard."""
    return lane()


@pytest.fixture
def null_case(plain_case: Case, tmp_path: Path) -> Case:
    """A lane whose rounds changed nothing: what a measure of change must call zero."""
    ledger = Ledger(tmp_path)
    for number in plain_case.ledger.rounds(plain_case.lane):
        update = plain_case.update(number)
        nothing = {layer: delta.scaled(0.0) for layer, delta in update.updates.items()}
        ledger.append(plain_case.lane, number, replace(update, updates=nothing, raw=nothing))
    return replace(plain_case, ledger=ledger)
