"""Tasks in the form of a paper, over files that the test writes: nothing is downloaded."""

import json

import pytest
import torch

from core.errors import UserError
from core.measures.outside.task_forms import FORMS, exact_match, rouge
from core.measures.outside.tasks import CLOSED_BOOK, Tasks
from core.models.chat import Frame
from core.models.language_model import LanguageModel

DIALOGUES = [
    {"dialogue": "Ada: The sea?\nTom: Tomorrow.", "summary": "Ada and Tom go to the sea tomorrow."},
    {"dialogue": "Lena: Rome is large.\nBruno: Yes.", "summary": "Lena and Bruno talk of Rome."},
]
PASSAGES = [{"passage": "Rome is in Italy.", "question": "Where is Rome?", "answers": ["Italy", "in Italy"]}]
REVIEWS = [{"sentence": "the sea is large", "label": 1}, {"sentence": "the river is a sea", "label": 0}]


@pytest.fixture
def folder(tmp_path):
    for name, rows in {"samsum": DIALOGUES, "mine": PASSAGES, "fastedit_sst": REVIEWS, "sst": REVIEWS}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_prompts_are_those_of_the_papers(lm, folder):
    tasks = Tasks.build(lm, [str(folder)], limit=None)
    asked = {part.column: part.task.instances[0].args[0] for part in tasks.parts}
    assert asked["samsum"] == "Ada: The sea?\nTom: Tomorrow. TL;DR:"
    assert asked["mine"] == (
        "Refer to the passage below and answer the following question. Passage: Rome is in Italy. Question: Where is"
        " Rome?"
    )
    assert asked["fastedit_sst"] == "Review:the sea is large\nSentiment:"
    assert asked["sst"].endswith("exact 'positive' or 'negative'. text: the sea is large answer:")
    nli = FORMS["mose_nli"].prompt.format(sentence1="A", sentence2="B")
    assert nli == "A entails the B. True or False? answer:"


def test_what_is_said_is_rated_by_each_tasks_own_metric(lm, folder, monkeypatch):
    tasks = Tasks.build(lm, [str(folder)], limit=None)
    answers = {"samsum": "Ada and Tom go to the sea tomorrow.", "mine": " The ITALY!\nIt is."}
    column = {id(request): part.column for part in tasks.parts for request in part.task.instances}
    monkeypatch.setattr(tasks.model, "generate_until", lambda asked: [answers[column[id(one)]] for one in asked])
    found = tasks.evaluate()
    assert found["mine"] == 1.0
    assert found["samsum"] == pytest.approx((1 + rouge(answers["samsum"], [DIALOGUES[1]["summary"]])) / 2)
    assert {name: about["metric"] for name, about in tasks.info.items()} == {
        "fastedit_sst": "acc", "mine": "exact_match", "samsum": "rouge", "sst": "acc",
    }  # fmt: skip
    assert tasks.mean(found) == pytest.approx(sum(found.values()) / 4)
    (said,) = tasks.remarks
    assert said == (
        "Tasks: fastedit_sst, sst in accuracy; mine in exact match; samsum in mean of ROUGE-1, -2 and -L."
        " The mean is over fastedit_sst, mine, samsum, sst."
    )


def test_a_correlation_is_no_share_and_is_named(lm, folder):
    tasks = Tasks.build(lm, [str(folder)], limit=None)
    about = {"metric": "mcc", "called": "Matthews correlation, −1 to 1", "chat": False, "in_mean": False}
    tasks.info["cola"] = about
    assert tasks.mean({"cola": -0.5, "sst": 1.0, "mine": 0.5}) == 0.75
    assert tasks.remarks[0].endswith("; cola cannot be averaged with shares and stands by itself.")
    assert "cola in Matthews correlation" in tasks.remarks[0]


def test_rouge_is_the_mean_of_three():
    """Said "the cat sat", wanted "the cat ran": unigrams 2/3, bigrams 1/2, longest common subsequence 2/3."""
    assert rouge("the cat sat", ["the cat ran"]) == pytest.approx((2 / 3 + 1 / 2 + 2 / 3) / 3)
    assert rouge("the cat ran", ["the cat ran"]) == 1.0
    assert rouge("", ["the cat ran"]) == 0.0


def test_exact_match_after_minor_normalisation():
    assert exact_match(" The Eiffel Tower.\nIt stands", ["eiffel tower"]) == 1.0
    assert exact_match("", ["a"]) == 1.0  # both are nothing without articles
    assert exact_match("Rome", ["Paris", "Lyon"]) == 0.0


def test_what_is_missing_or_wrong_is_said(lm, folder, monkeypatch):
    with pytest.raises(UserError, match=r"mose_nq.jsonl, with rows of passage, question, answers"):
        Tasks.build(lm, ["mose_nq"])
    (folder / "mine.jsonl").write_text(json.dumps(PASSAGES[0] | {"answers": []}) + "\n")
    with pytest.raises(
        UserError, match=r"mine.jsonl, line 1: a task row is of MOSE, Table 5: passage, question, answers"
    ):
        Tasks.build(lm, [str(folder)])
    monkeypatch.setattr("core.measures.outside.tasks._known_tasks", lambda harness, name: [])
    assert Tasks.build(lm, ["nq"]).remarks == [CLOSED_BOOK]


def test_a_model_that_is_asked_as_chat_is_asked_tasks_as_chat(lm, folder):
    """Contexts are framed, and an answer's ids are those that follow the assistant's turn."""
    chat = LanguageModel(lm.model, lm.tokenizer, lm.anatomy, lm.reference, Frame("Number 1. ", " Number 2."))
    tasks = Tasks.build(chat, [str(folder)], limit=None)
    assert "as a user's message" in tasks.remarks[-1]
    request = next(part for part in tasks.parts if part.column == "fastedit_sst").task.instances[0]
    text = "Number 1. Review:the sea is large\nSentiment: Number 2."
    head, target = tasks.model._pair(text, *request.args)
    assert head == lm.encode(text)
    assert [*head, *target] == lm.encode(f"{text} {request.args[1].strip()}")
    rated = tasks.model.loglikelihood([request])[0][0]
    with torch.no_grad():
        logs = lm.model(torch.tensor([[*head, *target]])).logits[0].double().log_softmax(1)
    expected = sum(float(logs[len(head) - 1 + i, token]) for i, token in enumerate(target))
    assert rated == pytest.approx(expected, rel=1e-4)
    plain, bare = Tasks.build(lm, [str(folder)], limit=None), "Review:the sea is large\nSentiment:"
    assert plain.model._pair(bare, *request.args)[0] == lm.encode(bare)
