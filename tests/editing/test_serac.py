"""SERAC: its scope, the model behind it, its training against a slow plain version, and its limits."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from core.editing.extras.blocks import packed
from core.editing.extras.retrievers import mean_states
from core.editing.extras.serac import CENTER, MAP, SETTINGS, Counterfactual, embedded
from core.editing.lane.session import model_info
from core.editing.lane.state import LaneState
from core.editing.methods._scope import SLACK, ScopeLearner, true_to
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.models.forward import score, score_ids
from core.models.generation import continuations, greedy
from core.models.tokens import answer_ids
from tests.editing.common import session_of
from tests.editing.test_retrieval import ANSWERS, MANY, said, same

USUAL: dict[str, Any] = {"method": "serac", "steps": 6, "taught": 12, "batch": 3, "rank": 2, "size": 16, "lr": 0.01}
PROMPTS = [fact.text for fact in MANY]


@pytest.fixture(scope="module")
def lm(toy):
    return toy("llama", "float64")


@pytest.fixture(scope="module")
def session(lm):
    return session_of(lm)


def lane(lm, session, *rounds, **settings):
    state, recipe = LaneState.base(lm, []), recipe_from_dict({**USUAL, **settings}, model_info(lm))
    for facts in rounds:
        state.apply(edit_round(lm, state, facts, recipe, session))
    return state


@pytest.fixture(scope="module")
def edited(lm, session):
    return lane(lm, session, MANY[:6], MANY[6:])


def extra_of(state) -> Counterfactual:
    (extra,) = state.worn.extras
    assert isinstance(extra, Counterfactual)
    return extra


def with_threshold(state, threshold: float):
    layers = list(extra_of(state).adapter)
    return replace(state, memory={**state.memory, SETTINGS: packed({"threshold": threshold, "layers": layers})})


def test_without_edits_or_with_threshold_one_it_is_the_base_model(lm, session, edited):
    base = said(lm, PROMPTS, ANSWERS)
    for state in (lane(lm, session, []), with_threshold(edited, 1.0)):
        with lm.worn(state.worn):
            assert same(said(lm, PROMPTS, ANSWERS), base)
    with lm.worn(edited.worn):
        assert lm.asked_all(PROMPTS) == [f"{prompt} {a}. {prompt}" for prompt, a in zip(PROMPTS, ANSWERS, strict=True)]
        assert not torch.equal(score(lm, PROMPTS, ANSWERS).logprob, base[0])
    assert same(said(lm, PROMPTS, ANSWERS), base)


def test_with_threshold_zero_all_prompts_are_read_after_the_nearest_edit(lm, edited):
    state = with_threshold(edited, 0.0)
    other = ["The river is", "Ada Marlow works as a"]
    keys = embedded(lm, PROMPTS, state.memory[MAP], state.memory[CENTER])
    asked = embedded(lm, other, state.memory[MAP], state.memory[CENTER])
    nearest = torch.cdist(asked, keys).argmin(1).tolist()
    with lm.worn(state.worn):
        assert lm.asked_all(other) == [
            f"{PROMPTS[i]} {ANSWERS[i]}. {prompt}" for i, prompt in zip(nearest, other, strict=True)
        ]


def test_the_order_of_edits_is_irrelevant_and_a_prompt_edited_again_has_its_newest_target(lm, session, edited):
    back = lane(lm, session, MANY[::-1])
    with lm.worn(edited.worn):
        found = lm.asked_all(PROMPTS)
    with lm.worn(back.worn):
        assert lm.asked_all(PROMPTS) == found
    again = lane(lm, session, MANY[:2], [replace(MANY[0], target="Oslo")])
    with lm.worn(again.worn):
        assert lm.asked(PROMPTS[0]) == f"{PROMPTS[0]} Oslo. {PROMPTS[0]}"


def test_answers_are_those_of_the_adapter_put_on_by_hand(lm, edited):
    """On the sentence and the prompt, from the prompt's last token on; a bare prompt in the same batch stays bare."""
    extra, fact = extra_of(edited), MANY[3]
    head = lm.encode(f"{fact.text} {fact.target}. {fact.text}")
    target = answer_ids(lm.tokenizer, fact.text, "Lyon and the old river")
    handles = []
    for layer, (a, b) in extra.adapter.items():
        assert bool(b.any())

        def hook(_, args, output, a=a[0], b=b[0]):
            return torch.cat([output[:, : len(head) - 1], (output + args[0] @ a.T @ b.T)[:, len(head) - 1 :]], 1)

        handles.append(lm.down(layer).register_forward_hook(hook))
    with torch.no_grad():
        logits = lm.model(torch.tensor([[*head, *target[:-1]]])).logits[0, len(head) - 1 :]
    for handle in handles:
        handle.remove()
    plain = torch.log_softmax(logits, 1)[range(len(target)), target].mean()
    far = with_threshold(edited, 0.999999)  # only the very prompts
    bare = score(lm, ["The river is"], ["the sea"]).logprob
    with lm.worn(far.worn):
        both = score(lm, [fact.text, "The river is"], ["Lyon and the old river", "the sea"]).logprob
        (ids,) = continuations(lm, [lm.encode(lm.asked(fact.text))], 5, greedy)
        assert bool(score_ids(lm, [lm.encode(lm.asked(fact.text))], [ids]).exact.all())
    assert float(both[0]) == pytest.approx(float(plain), rel=1e-6)
    assert float(both[1]) == pytest.approx(float(bare[0]), rel=1e-6)


def test_the_loss_is_that_of_a_slow_plain_version(lm, session):
    recipe = recipe_from_dict(USUAL, model_info(lm))
    learner = ScopeLearner(session, recipe.method)
    params = {name: value + 0.05 if ".b." in name else value for name, value in learner.start().items()}
    chosen = learner.facts[:3]
    assert chosen[0].fact.target != chosen[0].fact.truth  # every second fact is counterfactual
    assert learner.facts[1].fact.target == true_to(learner.facts[1].fact).target

    def placed(text: str) -> torch.Tensor:
        return params[MAP] @ (mean_states(lm, [text])[0] - params[CENTER])

    near, far = [], []
    for i, one in enumerate(chosen):
        edit = placed(one.fact.text)
        near.append(float((edit - placed(one.other)).square().sum()))
        for text in (one.strange, chosen[(i + 1) % 3].other):
            p = (1 - SLACK) * math.exp(-float((edit - placed(text)).square().sum()))
            far.append(-math.log(1 - p))
    expected = sum(near) / 3 + sum(far) / 6
    assert float(learner.scope_loss(params, chosen)) == pytest.approx(expected, rel=1e-9)


def test_prompts_of_the_lane_are_about_no_subject_that_was_learnt_from(lm, session):
    from core.facts.readers.everyday import EverydayWorld

    world = EverydayWorld.read()
    subjects = {one.fact.subject for one in ScopeLearner(session, recipe_from_dict(USUAL, model_info(lm)).method).facts}
    assert subjects <= {row["subject"] for row in world.facts if row["reserved"]}
    assert not subjects & {fact.subject for fact in world.sample(100)}
