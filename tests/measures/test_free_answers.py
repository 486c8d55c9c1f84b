"""Facts asked by free generation: the greedy line against the accepted answers, plainly."""

from dataclasses import replace

import pytest
import torch

from core.errors import UserError
from core.facts.fact import Question
from core.measures.config import MeasureConfig
from core.measures.outside.free_answers import ASKED, FreeAnswers, column, questions
from core.measures.outside.free_text import contains_match, exact_match
from core.measures.outside.greedy import LineOver, answer_lengths, greedy_ids
from core.measures.outside.judge import Judge
from core.measures.outside.scores import share_interval
from core.measures.session import MeasureSession
from core.measures.session.moment import Moment
from core.scores import SCORES
from tests.measures.test_session import edited

TOKENS = 4
LAYERS = [1, 2]


def plain(lm, prompt, count=TOKENS):
    """The greedy continuation, one token after the other by whole passes."""
    grown = lm.encode(prompt)
    start = len(grown)
    for _ in range(count):
        with torch.no_grad():
            grown = [*grown, int(lm.model(torch.tensor([grown])).logits[0, -1].argmax())]
        if grown[-1] == lm.tokenizer.eos_token_id:
            break
    return lm.text(grown[start:], skip_special_tokens=True).strip()


@pytest.fixture(scope="module")
def told(lm, facts):
    """Two facts some of whose answers are what the edited model says: alone, within more words, or as an alias."""
    with lm.worn(edited(lm)):
        said = {text: plain(lm, text) for fact in facts[:2] for text in (fact.text, *fact.paraphrases)}
    first, second = facts[:2]
    words = said[second.text].split()
    follows = (
        Question(prompt=first.paraphrases[0], answer="nothing", aliases=(said[first.paraphrases[0]],)),
        Question(prompt=first.paraphrases[1], answer="nothing"),
    )
    apart = (Question(prompt=second.paraphrases[1], answer=said[second.paraphrases[1]], kind="far"),)
    return [
        replace(first, target=said[first.text], portability=follows),
        replace(second, target=words[0], aliases=(), locality=apart),
    ]


def test_values_are_those_of_plain_steps(lm, told):
    """An accepted answer that is longer than asked for gets the tokens that it needs."""
    expected = {}
    with lm.worn(edited(lm)):
        values, broken = FreeAnswers(lm, TOKENS).values(list(enumerate(told)), 0, 2)
        for index, fact in enumerate(told):
            for name, query in questions(index, fact, 0, 2):
                lengths = answer_lengths(lm, [(query.prompt, answer) for answer in query.answers])
                text = plain(lm, query.prompt, max(TOKENS, *lengths))
                for match, right in (("exact", exact_match), ("contains", contains_match)):
                    expected.setdefault(column(name, match), []).append((index, float(right(text, query.answers))))
    assert broken == 0
    assert values == expected
    assert values[column("efficacy", "contains")] == [(0, 1), (1, 1)]
    assert values[column("portability", "contains")] == [(0, 1), (0, 0)]  # an alias counts
    assert values[column("locality", "contains")] == [(1, 1)]
    assert {value for _, value in values[column("neighborhood", "exact")]} == {0}
    assert {column("paraphrase", "exact"), column("efficacy", "judged")}.isdisjoint(values)


def test_an_answer_ends_with_its_line(lm, monkeypatch):
    """Blank lines before it aside."""
    texts = {1: "\n", 2: "Rome", 3: "\n", 4: ". "}
    monkeypatch.setattr(lm, "text", lambda ids, **_: "".join(texts[i] for i in ids))
    over, ids, ended = LineOver(lm), [], []
    for token in (1, 2, 4, 3):
        ids.append(token)
        ended.append(over(ids))
    assert ended == [False, False, False, True]
    monkeypatch.undo()
    prompts = ["Ada Marlow was born in", "The capital of France is"]
    assert greedy_ids(lm, prompts, [3, 3], line=True) == greedy_ids(lm, prompts, [3, 3])  # no line break is said


class Agreeing(Judge):
    """A judge for which every answer to a fact's own prompt agrees."""

    def __init__(self, prompts):
        self.prompts = prompts

    def verdicts(self, triples, beat=None):
        return [prompt in self.prompts for prompt, _, _ in triples], []


def test_a_judge_is_asked_about_each_answer(lm, told):
    judge = Agreeing({fact.text for fact in told})
    values, _ = FreeAnswers(lm, TOKENS, judge).values(list(enumerate(told)), 1, 2)
    assert values[column("efficacy", "judged")] == [(0, 1.0), (1, 1.0)]
    assert {value for _, value in values[column("paraphrase", "judged")]} == {0.0}


def test_they_are_columns_where_the_spec_asks_for_them(lm, told, unedited, assets):
    declared = {score.name for score in SCORES if score.asked}
    assert declared == {column(asked, match) for asked in ASKED for match in ("exact", "contains", "judged")}
    config = MeasureConfig(tasks=False, maps=False, inside=False, words=0, generated=1, answer_tokens=TOKENS)
    found = MeasureSession(lm, told, unedited, LAYERS, config, assets).measure(Moment(edited(lm), [0, 1], [1], 1))
    assert found.scores["generated"] == 1
    assert {name for name in found.scores if "_free_" in name} <= declared
    assert found.scores[column("efficacy", "contains")] == 1
    assert found.intervals[column("efficacy", "contains")] == list(share_interval([1.0]))
    usual = MeasureConfig(tasks=False, maps=False, inside=False, words=0)
    none = MeasureSession(lm, told, unedited, LAYERS, usual, assets).measure(Moment(edited(lm), [0, 1], [1], 1))
    assert not any("_free_" in name for name in none.scores)
    with pytest.raises(UserError):
        MeasureSession(lm, told, unedited, LAYERS, config.model_copy(update={"judge": "./not/there"}), assets)
