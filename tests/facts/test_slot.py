import pytest

from core.facts.cells import CellError
from core.facts.slot import slotted, with_slot


@pytest.mark.parametrize(
    ("prompt", "subject", "expected"),
    [
        ("{} lies in", "Oslo", "{} lies in"),
        ("Oslo says {} lies in", "Oslo", "Oslo says {} lies in"),  # a slot that is there stays
        ("Who made Tide?", "Tide", "Who made {}?"),
        ("Tide, by the makers of Tide, is", "Tide", "Tide, by the makers of {}, is"),  # repeated: the last mention
        ("Who started Art?", "Art", "Who started {}?"),
        ("Art is what artists make: Art and Artists", "Art", "Art is what artists make: {} and Artists"),
        ("Olsen's harp is", "Olsen", "{}'s harp is"),
        ("C++ was made by", "C++", "{} was made by"),
        ("東京タワーの高さは", "東京", "{}タワーの高さは"),  # no spaces between words
        ("القاهرة تقع في", "القاهرة", "{} تقع في"),
        ("a{b}c is", "a{b}c", "{} is"),
    ],
)
def test_which_mention_becomes_the_slot(prompt, subject, expected):
    template, spelled = slotted(prompt, subject)
    assert (template, spelled) == (expected, subject)


def test_a_mention_in_another_case_keeps_the_text_of_the_prompt():
    template, spelled = slotted("Who founded The Tide Club?", "the tide club")
    assert (template, spelled) == ("Who founded {}?", "The Tide Club")


def test_a_whole_word_in_another_case_goes_before_a_part_of_a_word():
    assert slotted("What start had ART?", "art") == ("What start had {}?", "ART")


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("It lies in", "does not mention"),
        ("{} or {} is", "2 slots"),
        ("The Osloer plays", 'mentions "Oslo" only inside a longer word'),
    ],
)
def test_what_has_no_place_is_told(prompt, words):
    with pytest.raises(CellError, match=words) as caught:
        slotted(prompt, "Oslo", "src")
    assert caught.value.column == "src"


@pytest.mark.parametrize(
    ("prompt", "subject", "expected"),
    [
        ("Rome and Romeo are", "Rome", "{} and Romeo are"),  # one mention, and a longer word
        ("Rome's river is", "Rome", "{}'s river is"),
        ("東京の人口は", "東京", "{}の人口は"),
        ("서울은", "서울", "{}은"),
        ("Apollo 1 and Apollo 11 are", "Apollo 1", "{} and Apollo 11 are"),
    ],
)
def test_what_people_type_is_cut_at_whole_words(prompt, subject, expected):
    assert with_slot(prompt, subject) == expected


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [("The Romeo plays", "Rome"), ("The 5.5 is", "5"), ("アメリカは", "アメ"), ("naïveté is", "naï")],
)
def test_a_part_of_a_longer_word_is_no_mention(prompt, subject):
    for cut in (with_slot, slotted):
        with pytest.raises(CellError, match="only inside a longer word"):
            cut(prompt, subject)
