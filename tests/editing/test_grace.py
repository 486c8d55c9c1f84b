"""GRACE: the codebook's rules, one decision per prompt, values against a slow plain version, and its limits."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from core.editing.deltas.ledger import Ledger
from core.editing.extras.grace import KEYS, RADII, Codebook, distances
from core.editing.lane.session import model_info
from core.editing.lane.state import LaneState
from core.editing.methods._codebook import Book
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.errors import UserError
from core.facts.fact import Fact
from core.models.forward import activations, score, score_ids
from core.models.generation import generate, next_tokens
from core.models.tokens import answer_ids
from tests.editing.common import FACTS
from tests.editing.test_retrieval import MANY as PEOPLE
from tests.editing.test_retrieval import said, same

LAYER = 2
CITIES = ("Vienna", "Paris", "Rome", "Lyon")  # one token each: a random model's last layers carry no longer answers
MANY = [replace(fact, target=CITIES[i % 4]) for i, fact in enumerate(PEOPLE)]
USUAL: dict[str, Any] = {
    "method": "grace", "layers": [LAYER], "steps": 60, "lr": 0.3, "relative_lr": False, "warm": True, "eps": 0.01,
}  # fmt: skip


def edit(lm, session, state, facts, **settings):
    recipe = recipe_from_dict({**USUAL, **settings}, model_info(lm))
    update = edit_round(lm, state, facts, recipe, session)
    state.apply(update)
    return update


def lane(lm, session, *rounds, **settings):
    state = LaneState.base(lm, [LAYER])
    for facts in rounds:
        edit(lm, session, state, facts, **settings)
    return state


def book_of(state) -> Codebook:
    (book,) = state.worn.extras
    assert isinstance(book, Codebook)
    return book


def with_radii(state, radius: float):
    memory = {n: torch.full_like(t, radius) if n.startswith(RADII) else t for n, t in state.memory.items()}
    return replace(state, memory=memory)


PROMPTS = [fact.text for fact in MANY]
ANSWERS = [fact.target for fact in MANY]


@pytest.fixture(scope="module")
def edited(lm):
    from tests.editing.common import session_of

    return lane(lm, session_of(lm), MANY[:6], MANY[6:])


def test_edited_prompts_answer_and_others_are_the_base_model_bit_for_bit(lm, edited):
    other = ["The capital of Italy is", "Ada Marlow works as a"]
    base, plain = said(lm, PROMPTS, ANSWERS), said(lm, other, ["Rome", "baker"])
    with lm.worn(edited.worn):
        found = said(lm, PROMPTS, ANSWERS)
        assert same(said(lm, other, ["Rome", "baker"]), plain)
        assert bool(score(lm, PROMPTS, ANSWERS).exact.all())
    assert (found[0] > base[0]).all()
    assert same(said(lm, PROMPTS, ANSWERS), base)
    assert lm._hooks == []


def test_without_entries_or_with_negative_radii_it_is_the_base_model(lm, session, edited):
    base = said(lm, PROMPTS, ANSWERS)
    empty = {name: tensor for name, tensor in edited.memory.items() if KEYS not in name}
    for state in (with_radii(edited, -1.0), replace(edited, memory=empty), lane(lm, session, [])):
        with lm.worn(state.worn):
            assert same(said(lm, PROMPTS, ANSWERS), base)
    with lm.worn(with_radii(edited, 1e-4).worn):  # only the very prompts still lie within
        assert bool(score(lm, PROMPTS, ANSWERS).exact.all())


def test_the_decision_rests_on_the_prompt_alone(lm, edited):
    """Alone or in a batch, beside prompts that begin with it, with any answer, forced or generated."""
    longer = [f"{prompt} {answer} and" for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)]
    with lm.worn(edited.worn):
        together = score(lm, [*PROMPTS, *longer], [*ANSWERS, *["the sea"] * len(longer)])
        for i, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
            alone = score(lm, [prompt], [answer])
            torch.testing.assert_close(alone.logprob[0], together.logprob[i], rtol=1e-4, atol=1e-5)
        for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
            ids = answer_ids(lm.tokenizer, prompt, answer)
            (text,) = generate(lm, [prompt], len(ids))
            assert text.strip() == answer
            assert lm.encode(prompt)[-1] != ids[0]
            (likely, _), *_ = next_tokens(lm, prompt)
            assert likely == lm.text(ids[:1])
    base = score(lm, longer, ["the sea"] * len(longer)).logprob
    torch.testing.assert_close(together.logprob[len(PROMPTS) :], base, rtol=1e-4, atol=1e-5)


def test_what_is_replaced_is_the_output_at_the_end_of_the_prompt(lm, edited):
    """Teacher forcing by hand: a hook that puts the value at the prompt's last token, and nothing else."""
    book, fact = book_of(edited), MANY[3]
    head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
    query = activations(lm, [fact.text], [len(head) - 1], [LAYER], "key")[LAYER]
    entry = int(distances(query, book.keys).argmin())

    def hook(_, __, output):
        output = output.clone()
        output[0, len(head) - 1] = book.values[entry]
        return output

    handle = lm.down(LAYER).register_forward_hook(hook)
    with torch.no_grad():
        logits = lm.model(torch.tensor([[*head, *target[:-1]]])).logits[0, len(head) - 1 :]
    handle.remove()
    plain = torch.log_softmax(logits, 1)[range(len(target)), target].mean()
    with lm.worn(edited.worn):
        found = score_ids(lm, [head], [target]).logprob[0]
    torch.testing.assert_close(found, plain, rtol=1e-5, atol=1e-6)


def test_values_are_those_of_a_slow_plain_version(lm, session):
    """Each fact alone, by torch's Adam on its own value, a forward pass of the whole model per step."""
    facts, steps, lr = MANY[:3], 6, 0.2
    state = lane(lm, session, facts, steps=steps, lr=lr, relative_lr=True, stop_loss=0.0)
    for number, fact in enumerate(facts):
        head, target = lm.encode(fact.text), answer_ids(lm.tokenizer, fact.text, fact.target)
        start = activations(lm, [fact.text], [len(head) - 1], [LAYER], "down")[LAYER][0]
        start_at = len(head) - 1
        value = start.clone().requires_grad_()
        adam = torch.optim.Adam([value], lr=lr * float(start.norm()) / len(start) ** 0.5)
        for _ in range(steps - 1):

            def hook(_, __, output, value=value, at=start_at):
                return torch.cat([output[:, :at], value[None, None], output[:, at + 1 :]], 1)

            handle = lm.down(LAYER).register_forward_hook(hook)
            logits = lm.model(torch.tensor([[*head, *target[:-1]]])).logits[0, len(head) - 1 :]
            handle.remove()
            adam.zero_grad()
            F.cross_entropy(logits, torch.tensor(target)).backward()
            adam.step()
        torch.testing.assert_close(book_of(state).values[number], value.detach(), rtol=1e-3, atol=1e-4)


def test_entries_are_added_kept_and_split():
    def query(*numbers: float) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.float64)

    book = Book.of({}, 2)
    assert book.place(query(0, 0), [1], 1.0) == 0
    assert book.place(query(5, 0), [1], 1.0) == 1  # far: a new entry, whatever its target
    assert book.place(query(1.5, 0), [1], 1.0) == 0  # near, same target: the radius grows
    assert book.radii == [1.5, 1.0]
    assert book.place(query(0, 0.5), [1], 1.0) == 0  # within: nothing changes
    assert book.radii == [1.5, 1.0]
    assert book.place(query(0, 1.0), [2], 1.0) == 2  # near, another target: both balls shrink and are disjoint
    assert book.radii[2] == 0.5
    assert book.radii[0] < 0.5
    assert book.radii[0] + book.radii[2] < 1.0
    assert book.place(query(5, 0), [7, 8], 1.0) == 1  # the same prompt: its value is overwritten
    assert book.labels == [[1], [7, 8], [2]]
    assert book.radii[1] == 1.0
    assert len(book.keys) == 3


def test_the_same_fact_twice_adds_nothing_and_a_new_target_wins(lm, session):
    state = lane(lm, session, MANY[:2], MANY[:2])
    assert len(book_of(state).keys) == 2
    again = replace(MANY[0], target="Lyon")
    edit(lm, session, state, [again])
    assert len(book_of(state).keys) == 2
    with lm.worn(state.worn):
        assert bool(score(lm, [again.text, MANY[1].text], [again.target, MANY[1].target]).exact.all())
        assert not bool(score(lm, [again.text], [MANY[0].target]).exact.any())


def test_a_measured_radius_lies_between_prefixes_and_other_subjects(lm, session):
    state = LaneState.base(lm, [LAYER])
    update = edit(lm, session, state, MANY, eps=None, contexts=3, context_length=5, steps=1)
    ends = [len(lm.encode(fact.text)) - 1 for fact in MANY]
    queries = activations(lm, PROMPTS, ends, [LAYER], "key")[LAYER].double()
    strange = [
        min(float((a - b).norm()) for b, other in zip(queries, MANY, strict=True) if other.subject != fact.subject)
        for a, fact in zip(queries, MANY, strict=True)
    ]
    outside = float(torch.tensor(strange).double().quantile(0.05))
    eps = float(state.memory["grace.eps"])
    assert any("entries" in note for note in update.notes)
    inside = eps**2 / outside
    near = []
    texts = session.contexts(recipe_from_dict({**USUAL, "eps": None, "contexts": 3, "context_length": 5}).method)
    for text in texts:
        for fact, own in zip(MANY, queries, strict=True):
            whole = f"{text.rstrip('.')}. {fact.text}"
            near.append(activations(lm, [whole], [len(lm.encode(whole)) - 1], [LAYER], "key")[LAYER][0].double() - own)
    assert inside == pytest.approx(float(torch.stack(near).norm(dim=1).quantile(0.95)), rel=1e-4)
    later = edit(lm, session, state, [FACTS[0]], eps=None, contexts=3, context_length=5, steps=1)
    assert float(state.memory["grace.eps"]) == eps
    assert any("No radius separates" in note for note in update.notes) == (inside > outside)
    assert not any("No radius separates" in note for note in later.notes)


def test_a_round_stores_what_is_new_and_a_lost_round_takes_its_entries_along(lm, session, tmp_path):
    ledger, state = Ledger(tmp_path), LaneState.base(lm, [LAYER])
    sizes = []
    for number, facts in enumerate((MANY[:4], MANY[4:8], [*MANY[8:], MANY[0]]), 1):
        update = edit(lm, session, state, facts)
        ledger.append("lane", number, update)
        sizes.append(sum(len(t) for name, t in update.memory.items() if name.startswith(KEYS)))
    assert sizes == [4, 4, 2]  # keys are stored once
    assert ledger.rebuild(lm, "lane", [LAYER]).memory_digest() == state.memory_digest()
    left = ledger.rebuild(lm, "lane", [LAYER], without=[2])
    assert len(book_of(left).keys) == 6
    base = score(lm, PROMPTS[4:8], ANSWERS[4:8]).logprob
    with lm.worn(left.worn):
        assert bool(score(lm, [*PROMPTS[:4], *PROMPTS[8:]], [*ANSWERS[:4], *ANSWERS[8:]]).exact.all())
        torch.testing.assert_close(score(lm, PROMPTS[4:8], ANSWERS[4:8]).logprob, base, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [1, 3])
@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_it_goes_on_other_architectures_and_the_last_layer(toy, family, layer):
    from tests.editing.common import session_of

    lm = toy(family)
    facts = [Fact(subject=f.subject, prompt=f.prompt, target=f.target) for f in MANY[:3]]
    recipe = recipe_from_dict({**USUAL, "layers": [layer], "steps": 40}, model_info(lm))
    state = LaneState.base(lm, [layer])
    state.apply(edit_round(lm, state, facts, recipe, session_of(lm)))
    prompts, answers = PROMPTS[:3], ANSWERS[:3]
    base = score(lm, prompts, answers).logprob
    with lm.worn(state.worn):
        assert (score(lm, prompts, answers).logprob > base + 0.5).all()


def test_one_layer_it_is(lm, session):
    with pytest.raises(UserError, match="one layer, not 2"):
        lane(lm, session, MANY[:1], layers=[1, 2])
