"""Subjects inside prompts, answers after them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.models.tokens import answer_ids, encode_all, slot_last, subject_last
from tests import toys

WITH_BOS, WITHOUT, PIECES = toys.tokenizer(bos=True), toys.tokenizer(bos=False), toys.pieces()


@pytest.mark.parametrize("tokenizer", [WITH_BOS, WITHOUT, PIECES], ids=["bos", "plain", "pieces"])
@pytest.mark.parametrize(
    "template, subject",
    [
        ("{} speaks", "Ada Marlow"),
        ("The capital of {} is", "France"),
        ("The author of {}", "The Quiet River"),
        ("{}", "x"),
        ("{}'s mother is", "Łukasz"),
        ("say “{}” twice", "日本"),
        ("{}", "🜚"),
        ("The {}-born", "Vienna"),
    ],
)
def test_the_last_token_that_overlaps_the_subject(tokenizer, template, subject):
    text, last = slot_last(tokenizer, template, subject)
    ids = encode_all(tokenizer, [text])[0]
    end = template.index("{}") + len(subject)
    through = len(tokenizer.decode(ids[: last + 1], skip_special_tokens=True))
    before = len(tokenizer.decode(ids[:last], skip_special_tokens=True))
    assert through >= end  # the subject is complete with this token
    assert before < end or "�" in tokenizer.decode(ids[:last], skip_special_tokens=True)  # and not before it


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=12).filter(lambda s: s.strip()), st.sampled_from(["{} is", "of {}, and", "a{}b"]))
def test_any_subject(subject, template):
    text, last = slot_last(WITH_BOS, template, subject)
    encoding = WITH_BOS(text, return_offsets_mapping=True)
    end = template.index("{}") + len(subject)
    left, right = encoding["offset_mapping"][last]
    assert left < end
    assert all(a >= end for a, b in encoding["offset_mapping"][last + 1 :] if b > a)


def test_merges_across_the_subject_end_are_seen_in_context():
    """ "sea" is one token; a subject "se" ends inside it."""
    ids = encode_all(WITHOUT, ["the sea"])[0]
    assert subject_last(WITHOUT, "the sea", "se") == len(ids) - 1


def test_merges_with_what_follows_the_subject_count_as_its_end():
    """ "▁sea." is one piece: the subject "sea" ends in it, although it does not end with it."""
    text, last = slot_last(PIECES, "I like the {}.", "sea")
    ids = encode_all(PIECES, [text])[0]
    assert PIECES.convert_ids_to_tokens(ids[last]) == "▁sea."
    assert last == len(ids) - 1


@pytest.mark.parametrize("tokenizer", [WITH_BOS, WITHOUT, PIECES], ids=["bos", "plain", "pieces"])
def test_what_stands_before_and_after_moves_no_subject(tokenizer):
    bare, last = slot_last(tokenizer, "Rome says that {} is", "Rome")
    text, framed = slot_last(tokenizer, "Rome says that {} is", "Rome", "You like Rome.\n", "\nRome:")
    assert text == f"You like Rome.\n{bare}\nRome:"
    ids = encode_all(tokenizer, [text])[0]
    assert framed > last
    read = tokenizer.decode(ids[: framed + 1], skip_special_tokens=True)
    assert read.strip() == "You like Rome.\nRome says that Rome"


def test_a_repeated_subject_is_the_slots():
    template = "Bruno Keller knows that {} knows Bruno Keller"
    text, last = slot_last(WITH_BOS, template, "Bruno Keller")
    ids = encode_all(WITH_BOS, [text])[0]
    assert WITH_BOS.decode(ids[1 : last + 1]) == "Bruno Keller knows that Bruno Keller"
    assert subject_last(WITH_BOS, text, "Bruno Keller") == len(ids) - 1
    assert subject_last(WITH_BOS, text, "Bruno Keller", 0) < last


def test_prefixes_move_the_subject():
    text, last = slot_last(WITH_BOS, "{} is", "Rome", "The sea. ")
    assert text == "The sea. Rome is"
    assert WITH_BOS.decode(encode_all(WITH_BOS, [text])[0][1 : last + 1]) == "The sea. Rome"


def test_bos_counts_once_and_eos_never():
    assert encode_all(WITH_BOS, ["Rome"])[0].count(1) == 1
    assert encode_all(WITH_BOS, ["<s>Rome"])[0] == encode_all(WITH_BOS, ["Rome"])[0]
    assert encode_all(WITHOUT, ["Rome"])[0].count(1) == 0
    assert subject_last(WITH_BOS, "<s>Rome is", "Rome") == subject_last(WITH_BOS, "Rome is", "Rome")
    closing = toys.tokenizer(bos=True)
    from tokenizers import processors

    closing.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    assert encode_all(closing, ["Rome is"])[0] == encode_all(WITH_BOS, ["Rome is"])[0]
    assert encode_all(closing, []) == []


@pytest.mark.parametrize("tokenizer", [WITH_BOS, WITHOUT, PIECES], ids=["bos", "plain", "pieces"])
def test_answers_follow_a_space(tokenizer):
    ids = answer_ids(tokenizer, "The capital of France is", "Paris")
    assert tokenizer.decode(ids).strip() == "Paris"
    prompt = encode_all(tokenizer, ["The capital of France is"])[0]
    assert prompt + ids == encode_all(tokenizer, ["The capital of France is Paris"])[0]
    assert 1 not in ids


@pytest.mark.parametrize("tokenizer", [WITH_BOS, WITHOUT, PIECES], ids=["bos", "plain", "pieces"])
@pytest.mark.parametrize("end", ["\n", ": "])
def test_no_second_space_where_the_prompt_ends_with_one(tokenizer, end):
    prompt = f"The capital of France is{end}"
    ids = encode_all(tokenizer, [prompt])[0] + answer_ids(tokenizer, prompt, "Paris")
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == f"{prompt}Paris"


def test_what_cannot_be_found_is_told():
    with pytest.raises(UserError, match="does not occur"):
        subject_last(WITH_BOS, "The capital of France", "Italy")
    with pytest.raises(UserError, match="at character 3"):
        subject_last(WITH_BOS, "Rome and Rome", "Rome", 3)
    with pytest.raises(UserError, match="exactly one slot"):
        slot_last(WITH_BOS, "{} and {}", "Rome")
    with pytest.raises(UserError, match="no tokens"):
        answer_ids(WITH_BOS, "The capital is", "")
