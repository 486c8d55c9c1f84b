import math

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig

from core.errors import UserError
from core.measures.outside.judge import Judge
from core.measures.outside.metrics import AnswerRating
from tests import toys


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A toy that reads long questions."""
    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=512
    )
    return Judge(str(toys.write(tmp_path_factory.mktemp("judge"), config)), "cpu")


def summed(lm, question, reply):
    head, whole = lm.encode(question), lm.encode(f"{question} {reply}")
    with torch.no_grad():
        logs = lm.model(torch.tensor([whole])).logits[0].log_softmax(1)
    return sum(float(logs[i - 1, whole[i]]) for i in range(len(head), len(whole))) / (len(whole) - len(head))


def test_yes_must_be_likelier_than_no(judge):
    asked = [("Ada was born in", "Rome", "Rome."), ("Bruno speaks", "German", "Greek"), ("Tom is", "x", "  ")]
    verdicts, notes = judge.verdicts(asked)
    questions = [judge.question(*each) for each in asked]
    likelier = [summed(judge.lm, q, "yes") > summed(judge.lm, q, "no") for q in questions]
    assert verdicts == [likelier[0], likelier[1], False]  # an empty answer agrees with nothing
    assert notes == []


@pytest.mark.parametrize(
    ("yes", "no", "agrees"),
    [(-1.0, -2.0, True), (-2.0, -1.0, False), (-1.0, -1.0, False), (math.nan, -1.0, False), (-1.0, math.nan, False)],
)
def test_verdicts(judge, monkeypatch, yes, no, agrees):
    from core.measures.outside import judge as module

    rated = {"yes": AnswerRating(yes, 0.0, False), "no": AnswerRating(no, 0.0, False)}
    monkeypatch.setattr(module, "rate_answers", lambda _, pairs, beat: {pair: rated[pair[1]] for pair in pairs})
    verdicts, notes = judge.verdicts([("Ada is", "a", "b")])
    assert verdicts == [agrees]
    assert len(notes) == (math.isnan(yes) or math.isnan(no))


def test_the_question_holds_what_was_asked_literally(judge):
    question = judge.question("{given} is", "{prompt}", "one\ntwo")
    assert "complete the sentence. {given} is ..." in question
    assert "Expected answer: {prompt}\n" in question
    assert "Given answer: one two\n" in question


def test_a_chat_model_is_asked_in_its_template(tmp_path):
    folder = toys.tiny_llama(tmp_path)
    words = AutoTokenizer.from_pretrained(folder)
    words.chat_template = "<s>[{{ messages[0].role }}] {{ messages[0].content }} [reply]"
    words.save_pretrained(folder)
    chatty = Judge(str(folder), "cpu")
    asked = chatty.question("Ada is", "a", "b")
    assert asked.startswith("<s>[user] Question: complete the sentence. Ada is ...")
    assert asked.endswith("Reply: [reply]")
    assert chatty.lm.encode(asked)[:2].count(chatty.lm.tokenizer.bos_token_id) == 1


def test_a_question_longer_than_the_judge_reads(judge):
    with pytest.raises(UserError, match="reads 512 tokens, and a question to it has"):
        judge.verdicts([("Ada is", "a", "Bruno " * 600)])


def test_a_judge_that_is_not_there():
    with pytest.raises(UserError, match="no model folder"):
        Judge("./nowhere/at/all")
