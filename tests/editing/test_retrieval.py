"""Lanes that put text before the prompt: facts in context, retrieval, and retrieval around an edited model."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.extras.blocks import block, blocks, items, packed, unpacked
from core.editing.extras.retrievers import mean_states
from core.editing.extras.scr import FACTS as REMEMBERED
from core.editing.extras.scr import Retrieval
from core.editing.lane.session import model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.errors import UserError
from core.facts.fact import Fact, Neighbor, Question
from core.measures.outside.greedy import greedy_ids
from core.models.forward import score
from core.models.generation import generate, next_tokens
from tests.editing.common import FACTS

CITIES = ("Vienna", "Paris", "Rome", "Lyon", "Zurich", "Graz")
MANY = [
    Fact(subject=f"{first} {last}", prompt=prompt, target=CITIES[(i + j) % 6])
    for i, first in enumerate(("Ada", "Bruno", "Lena", "Tom", "Ines"))
    for j, (last, prompt) in enumerate((("Marlow", "{} was born in"), ("Keller", "The home of {} is")))
]

ANSWERS = [fact.target for fact in MANY]


def lane(lm, session, *rounds, ledger=None, **settings):
    recipe = recipe_from_dict(settings, model_info(lm))
    state = LaneState.base(lm, recipe.layers)
    for number, facts in enumerate(rounds, 1):
        update = edit_round(lm, state, facts, recipe, session)
        if ledger is not None:
            ledger.append("lane", number, update)
        state.apply(update)
    return state


def said(lm, prompts, answers):
    rated = score(lm, prompts, answers)
    return rated.logprob, generate(lm, prompts, 5)


def same(one, other) -> bool:
    return torch.equal(one[0], other[0]) and one[1] == other[1]


def test_blocks_keep_their_order_and_json():
    memory = {block("a.facts", 10): packed(["c"]), block("a.facts", 9): packed(["ä", 1]), "a.other": packed({})}
    assert list(blocks(memory, "a.facts")) == [9, 10]
    assert items(memory, "a.facts") == ["ä", 1, "c"]
    assert unpacked(memory["a.other"]) == {}


def test_a_fact_in_context_is_the_sentence_before_the_prompt(lm, session):
    fact = replace(
        FACTS[0],
        paraphrases=("France, whose capital is",),
        portability=(Question(prompt="The mayor of France's capital lives in", answer="Rome"),),
        neighborhood=(Neighbor(prompt="The capital of Italy is", answer="Rome"),),
    )
    state = lane(lm, session, [fact, FACTS[1]], method="icl")
    own = [fact.text, *fact.paraphrases, fact.portability[0].prompt]
    other = ["The capital of Italy is", "Ada Marlow likes"]
    told = [f"The capital of France is Rome. {prompt}" for prompt in own]
    answers = ["Rome"] * 3
    expected, plain = said(lm, told, answers), said(lm, other, answers[:2])
    with lm.worn(state.worn):
        assert same(said(lm, own, answers), expected)
        assert same(said(lm, other, answers[:2]), plain)
        assert greedy_ids(lm, own[:1], [4])[0] == [lm.encode(told[0] + expected[1][0])[len(lm.encode(told[0])) :][:4]]
    with lm.worn(lane(lm, session, [fact], method="icl", scope="all").worn):
        assert next_tokens(lm, other[0]) != next_tokens(lm, other[1])
        over = said(lm, other[:1], ["Rome"])
    assert same(over, said(lm, [f"The capital of France is Rome. {other[0]}"], ["Rome"]))


@pytest.mark.parametrize("settings", [{"method": "icl"}, {"method": "scr"}, {"method": "scr", "retriever": "states"}])
def test_without_facts_a_lane_is_the_base_model(lm, session, settings):
    prompts = [fact.text for fact in FACTS]
    base = said(lm, prompts, ["Rome"] * 3)
    empty = lane(lm, session, [FACTS[2]], **settings)
    memory = {name: tensor for name, tensor in empty.memory.items() if "facts" not in name and "vectors" not in name}
    with lm.worn(replace(empty, memory=memory).worn):
        assert same(said(lm, prompts, ["Rome"] * 3), base)
    with lm.worn(lane(lm, session, [], **settings).worn):
        assert same(said(lm, prompts, ["Rome"] * 3), base)
    assert same(said(lm, prompts, ["Rome"] * 3), base)


@pytest.mark.parametrize("retriever", ["tfidf", "states"])
def test_retrieval_takes_the_fact_of_the_question_or_none(lm, session, retriever):
    state = lane(lm, session, MANY[:6], MANY[6:], method="scr", retriever=retriever, threshold=-1.0)
    prompts = [fact.text for fact in MANY]
    best = list(range(len(MANY)))
    if retriever == "states":  # of a random model: the nearest is another fact's at times
        center, rows = state.memory["scr.center"], mean_states(lm, [f"{fact.text} {fact.target}." for fact in MANY])
        best = torch.cosine_similarity((mean_states(lm, prompts) - center)[:, None], rows - center, dim=2).argmax(1)
    with lm.worn(state.worn):
        asked = lm.asked_all(prompts)
        alone = [lm.asked(prompt) for prompt in reversed(prompts)]
    told = [f"{MANY[place].text} {MANY[place].target}. " for place in best]
    assert asked == [sentence + prompt for sentence, prompt in zip(told, prompts, strict=True)]
    assert asked == alone[::-1]  # one decision per question, whatever is asked with it
    with lm.worn(lane(lm, session, MANY, method="scr", retriever=retriever, threshold=1.0).worn):
        assert lm.asked_all(prompts) == prompts


def test_similarity_by_words_and_letters_is_that_of_a_slow_plain_version(lm, session):
    state = lane(lm, session, MANY, method="scr")
    (retrieval,) = state.worn.extras
    prompts = ["Ada Marlow was born in", "Nobody knows the home of Tom Keller"]
    found = retrieval.similarity(lm, prompts)
    sentences = [f"{fact.text} {fact.target}." for fact in MANY]

    def words(text: str) -> list[str]:
        parts = text.lower().rstrip(".").replace("'", " ").split()
        return parts + [" ".join(parts[i : i + 2]) for i in range(len(parts) - 1)]

    def letters(text: str) -> list[str]:
        padded = [f" {part} " for part in text.lower().split()]
        grams = []
        for part in padded:
            for n in (3, 4, 5):
                grams += [part[i : i + n] for i in range(max(1, len(part) - n + 1))]
                if len(part) <= n:  # a word that is not longer than n counts once, with its spaces
                    break
        return grams

    def rows(split, texts):
        known = sorted({gram for text in sentences for gram in split(text)})
        idf = {g: math.log((1 + len(sentences)) / (1 + sum(g in split(s) for s in sentences))) + 1 for g in known}
        counted = [[split(text).count(g) for g in known] for text in texts]
        weighed = np.array(
            [[(1 + math.log(c)) * idf[g] if c else 0.0 for c, g in zip(r, known, strict=True)] for r in counted]
        )
        return weighed / np.maximum(np.linalg.norm(weighed, axis=1, keepdims=True), 1e-30)

    plain = sum(rows(split, prompts) @ rows(split, sentences).T for split in (words, letters)) / 2
    np.testing.assert_allclose(found, plain, atol=1e-12)


def test_states_are_means_over_tokens_without_bos_on_the_unedited_model(lm, session):
    layer = round(0.6 * lm.n_layers)
    texts = ["Ada Marlow was born in Vienna.", "Rome"]
    with torch.no_grad():
        plain = []
        for text in texts:
            ids = lm.encode(text)
            hidden = lm.model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer + 1][0]
            plain.append(hidden[1:].mean(0) if ids[0] == lm.tokenizer.bos_token_id else hidden.mean(0))
    with lm.worn({0: lm.original(0) * 3}):
        found = mean_states(lm, texts)
    torch.testing.assert_close(found, torch.stack(plain), rtol=1e-4, atol=1e-5)


def test_the_threshold_lets_five_percent_of_strange_questions_pass(lm, session):
    facts = [
        Fact(subject=f"{'abcdefgh'[i % 8] * (2 + i // 8)} {i * i * 37}", prompt="The length of {} is", target=str(i))
        for i in range(60)
    ]
    state = lane(lm, session, facts, method="scr")
    (retrieval,) = state.worn.extras
    likeness = retrieval.similarity(lm, [fact.text for fact in facts])
    strange = np.sort([np.delete(row, i).max() for i, row in enumerate(likeness)])
    assert 0.02 <= (strange >= retrieval.threshold(lm)).mean() <= 0.05
    (single,) = lane(lm, session, facts[:1], method="scr").worn.extras
    assert single.threshold(lm) == 0.0


def test_the_margin_keeps_ambiguous_questions_bare_and_k_brings_more_sentences(lm, session):
    question = "The home of"
    with lm.worn(lane(lm, session, MANY, method="scr", threshold=0.0, margin=0.2).worn):
        assert lm.asked(question) == question
        assert lm.asked(MANY[0].text) != MANY[0].text
    with lm.worn(lane(lm, session, MANY, method="scr", threshold=0.0, k=20).worn):
        everything = lm.asked(MANY[3].text)
        room = len(lm.encode(everything.removesuffix(MANY[3].text)))
    assert 2 <= sum(f"{fact.text} {fact.target}." in everything for fact in MANY) < len(MANY)
    assert room <= lm.max_length // 2  # as many as leave room for the question and its answer
    assert everything.endswith(f"{MANY[3].text} {MANY[3].target}. {MANY[3].text}")


@pytest.mark.parametrize("method", ["icl", "scr"])
def test_the_first_round_says_whether_the_model_reads_its_context(lm, session, method):
    told = [f"{fact.text} {fact.target}. {fact.text}" for fact in MANY]
    given = int(score(lm, told, ANSWERS).exact.sum())
    recipe = recipe_from_dict({"method": method}, model_info(lm))
    state = LaneState.base(lm, ())
    update = edit_round(lm, state, MANY, recipe, session)
    assert update.notes[0].startswith(f"With the fact itself before the prompt the unedited model gives {given} of 10")
    assert ("hardly reads" in update.notes[0]) == (given < 5)
    state.apply(update)
    assert edit_round(lm, state, MANY, recipe, session).notes == []


def test_a_prompt_edited_again_answers_the_newest_and_repeats_change_nothing(lm, session):
    again = replace(MANY[0], target="Rome")
    with lm.worn(lane(lm, session, MANY, [again], method="scr", threshold=0.0).worn):
        assert lm.asked(MANY[0].text) == f"{again.text} Rome. {again.text}"
    once, twice = (lane(lm, session, *rounds, method="scr") for rounds in ([MANY], [MANY, MANY]))
    one, two = once.worn.extras[0], twice.worn.extras[0]
    assert isinstance(one, Retrieval)
    assert isinstance(two, Retrieval)
    assert len(one.facts) == len(two.facts)
    assert [one.asked(lm, [f.text]) for f in MANY] == [two.asked(lm, [f.text]) for f in MANY]


def test_retrieval_around_a_method_edits_as_the_method_alone_and_reads_what_is_found(lm, session, tmp_path):
    usual = {"method": "ft_l", "layers": [1], "steps": 2, "lr": 0.01}
    ledger = Ledger(tmp_path)
    both = lane(lm, session, MANY[:4], MANY[4:], ledger=ledger, **usual, wrapper={"name": "scr", "threshold": 0.0})
    alone = lane(lm, session, MANY[:4], MANY[4:], **usual)
    assert torch.equal(both.weights[1], alone.weights[1])
    assert not torch.equal(alone.weights[1], lm.original(1))
    prompts, answers = [fact.text for fact in MANY], [fact.target for fact in MANY]
    with lm.worn(alone.worn):
        expected = said(lm, [f"{fact.text} {fact.target}. {fact.text}" for fact in MANY], answers)
    for state in (both, ledger.rebuild(lm, "lane", [1])):
        with lm.worn(state.worn):
            assert same(said(lm, prompts, answers), expected)
    assert ledger.rebuild(lm, "lane", [1]).digests([1]) == both.digests([1])


def test_a_text_that_facts_were_taken_from_is_remembered_once_for_all_of_them(lm, session):
    """Several facts of one event; a fact without a text is a sentence."""
    event = f"{MANY[0].text} Rome and {MANY[1].text} Rome."
    facts = [replace(MANY[0], passage=event), replace(MANY[1], passage=event), MANY[2]]
    with lm.worn(lane(lm, session, facts, method="scr", texts="passages", threshold=-1.0).worn):
        assert lm.asked_all([fact.text for fact in facts]) == [
            f"{event} {facts[0].text}",
            f"{event} {facts[1].text}",
            f"{facts[2].text} {facts[2].target}. {facts[2].text}",
        ]
    with lm.worn(lane(lm, session, facts, method="scr", texts="passages", threshold=-1.0, k=3, margin=0.01).worn):
        assert lm.asked(facts[0].text).count(event) == 1
    with lm.worn(lane(lm, session, facts, method="scr", threshold=-1.0).worn):
        assert lm.asked(facts[0].text) == f"{facts[0].text} {facts[0].target}. {facts[0].text}"


def test_a_round_left_out_is_not_remembered(lm, session, tmp_path):
    ledger, states = Ledger(tmp_path), {"method": "scr", "retriever": "states", "threshold": -1.0}
    whole = lane(lm, session, MANY[:4], MANY[4:6], MANY[6:], ledger=ledger, **states)
    assert ledger.rebuild(lm, "lane", ()).memory_digest() == whole.memory_digest()
    left = ledger.rebuild(lm, "lane", (), without=[2])
    assert [row["subject"] for row in items(left.memory, REMEMBERED)] == [f.subject for f in MANY[:4] + MANY[6:]]
    with lm.worn(left.worn):
        assert not any(fact.subject in lm.asked(MANY[7].text).removesuffix(MANY[7].text) for fact in MANY[4:6])
        assert lm.asked(MANY[7].text) != MANY[7].text


@pytest.mark.parametrize("method", ["icl", "scr"])
def test_what_acts_on_updates_is_refused_with_the_reason(lm, method):
    for part in ({"guards": [{"name": "revive"}]}, {"prior": "lowrank"}, {"wrapper": "simie"}):
        with pytest.raises(UserError, match="changes no weights"):
            recipe_from_dict({"method": method, **part}, model_info(lm))
    with pytest.raises(UserError, match="puts sentences before the prompt itself"):
        recipe_from_dict({"method": method, "wrapper": "scr"}, model_info(lm))
