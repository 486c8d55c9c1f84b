"""Asked as chat: the rows that are optimised, the edit, the scores and the words all go through the template."""

from functools import partial

import pytest
import torch
from pydantic import ValidationError

from core.editing.lane.state import LaneState
from core.editing.rounds.edit_round import edit_round
from core.editing.values.keys import prompts
from core.editing.values.objective import make_task
from core.editing.values.optimise import Problem, optimise_values
from core.errors import UserError
from core.models.forward import score
from core.models.generation import generate
from core.models.loading import load_model
from core.models.partial_forward import PartialForward
from core.runs.engine.laboratory import Laboratory
from core.runs.spec.run_spec import RunSpec
from tests import toys
from tests.architectures.wide import Wide
from tests.editing.common import FACTS, recipe_of, session_of
from tests.models.test_partial_forward import partial_loss, plain_loss

TEMPLATE = "{{ bos_token }}You like France.\nQ: {{ messages[0].content }}\nA: "
CONTEXTS = ["The river runs"]


@pytest.fixture(scope="module", params=["llama", "gpt2", "gemma3_text"])
def lm(request, tmp_path_factory):
    words = toys.tokenizer(bos=False) if request.param == "gpt2" else toys.pieces()
    words.chat_template = TEMPLATE
    folder = toys.tiny(tmp_path_factory.mktemp("chat"), request.param, words=words)
    return load_model(str(folder), device="cpu", dtype="float64", chat=True)


def decoded(lm, ids) -> str:
    return lm.tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_rows_end_their_subjects_where_the_cut_is_and_answer_in_the_assistants_turn(lm):
    task = make_task(lm, FACTS, CONTEXTS, with_kl=True)
    expected = []
    for fact in FACTS:
        for before in ("", "The river runs. "):
            start = f"You like France.\nQ: {before}{fact.prompt.split('{}')[0]}{fact.subject}"
            expected.append((start, f"{start}{fact.prompt.split('{}')[1]}\nA: {fact.target}"))
    for row, target, (start, whole) in zip(task.rows, task.targets, expected, strict=False):
        assert decoded(lm, row.ids[: row.cut + 1]) == start
        assert decoded(lm, [*row.ids, target[-1]]) == whole
    assert [decoded(lm, row.ids) for row in task.rows[len(expected) :]] == [
        f"You like France.\nQ: {fact.subject}" for fact in FACTS
    ]
    assert [decoded(lm, ids) for ids in prompts(lm, FACTS, ()).bare] == [start for start, _ in expected[::2]]


def test_the_tail_is_the_full_forward(lm):
    task = make_task(lm, FACTS, CONTEXTS, with_kl=False)
    delta = torch.full((len(FACTS), lm.d_model), 0.1, dtype=torch.float64).requires_grad_()
    with Wide():
        plain = plain_loss(lm, task.rows, task.targets, 1, delta)
        forward = partial_loss(PartialForward(lm, task.rows, 1), task.targets, delta)
    torch.testing.assert_close(forward, plain, rtol=1e-9, atol=1e-12)
    slopes = [torch.autograd.grad(loss, delta)[0] for loss in (forward, plain)]
    torch.testing.assert_close(*slopes, rtol=1e-9, atol=1e-12)


def test_an_edit_makes_the_answer_likelier_where_it_was_asked(lm):
    recipe = recipe_of(lm, lr=0.3, relative_lr=True, steps=12, contexts=0)
    state = LaneState.base(lm, recipe.layers)
    rated = partial(score, lm, [fact.text for fact in FACTS], [fact.target for fact in FACTS])
    found = optimise_values(Problem(lm, FACTS, recipe.layers[-1], []), recipe.method)
    before = rated().logprob
    torch.testing.assert_close(-before.double(), found.loss_start, rtol=1e-5, atol=0.0)
    state.apply(edit_round(lm, state, FACTS, recipe, session_of(lm)))
    with lm.worn(state.weights):
        assert float(rated().logprob.mean()) > float(before.mean()) + 0.05


def test_its_words_continue_the_assistants_turn(lm):
    plain = load_model(lm.reference, device="cpu", dtype="float64")
    asked = ["Rome", "The capital of France is"]
    assert generate(lm, asked, 5) == generate(plain, [lm.asked(text) for text in asked], 5)
    assert generate(lm, asked, 5) != generate(plain, asked, 5)


def test_a_spec_asks_for_it(lm, tmp_path):
    given = {"model": lm.reference, "facts": {"source": "pocket"}, "lanes": [{"method": "memit"}], "device": "cpu"}
    spec, plain = RunSpec.from_dict({**given, "chat": True}), RunSpec.from_dict(given)
    assert RunSpec.from_dict(spec.as_dict()) == spec
    assert not plain.chat
    laboratory = Laboratory(tmp_path)
    assert laboratory.model(spec).frame == lm.frame
    assert laboratory.has(spec)
    assert not laboratory.has(plain)
    assert laboratory.model(plain).asked("Rome") == "Rome"
    with pytest.raises(ValidationError):
        RunSpec.model_validate({**given, "chat": "perhaps"})


def test_a_spec_that_asks_for_it_of_a_model_without_a_template_is_told(tmp_path):
    folder = toys.tiny_llama(tmp_path)
    spec = RunSpec.from_dict(
        {"model": str(folder), "chat": True, "facts": {"source": "pocket"}, "lanes": [{"method": "memit"}]}
    )
    with pytest.raises(UserError, match="take chat out of the spec"):
        Laboratory(tmp_path).model(spec)
