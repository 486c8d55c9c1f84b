import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pocket.dictionary import SECOND
from core.pocket.tokenizer import BOS, EOS, PAD, encode_pieces, load_tokenizer
from core.pocket.world import read_world

TEXTS = [
    "The capital of France is Paris.",
    "naïve Ångström",
    "😀👩‍👩‍👧 🇫🇷",
    "שלום עולם",
    "مرحبا بالعالم",
    "日本語 한국어",
    "  a\t\n b ",
    "x" * 300,
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_round_trips(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_any_text_round_trips(tokenizer):
    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda t: "<" not in t))
    def round_trip(text):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text

    round_trip()


def test_special_tokens(tokenizer):
    assert tokenizer("France")["input_ids"][0] == tokenizer.bos_token_id
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) == 3
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (BOS, EOS, PAD)


def test_prompt_and_answer_concatenate(tokenizer):
    prompt, answer = encode_pieces(tokenizer, ["Nora Talbavane was born in the city of", " Kuala Lumpur"])
    assert prompt + answer == encode_pieces(tokenizer, ["Nora Talbavane was born in the city of Kuala Lumpur"])[0]


def test_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(str(tmp_path))
    assert load_tokenizer(tmp_path)("Kyoto 😀")["input_ids"] == tokenizer("Kyoto 😀")["input_ids"]


def test_names_and_coined_words_are_put_together_from_shared_pieces(built, tokenizer):
    """Meaning belongs to the combination: no piece may stand for a whole name or word."""
    world = read_world(built / "world")
    people = sorted({fact.subject for fact in world.facts if not fact.real})
    names = encode_pieces(tokenizer, [f" {name}" for name in people])
    assert {len(ids) for ids in names} == {3}
    words = encode_pieces(tokenizer, [f" {word.text}" for word in world.dictionary.words])
    assert {len(ids) for ids in words} == {2}
    assert len({tuple(ids) for ids in words}) == len(words)
    assert len({ids[-1] for ids in words}) == len(SECOND)
    real = encode_pieces(tokenizer, [f" {fact.subject}" for fact in world.facts if fact.real])
    assert min(len(ids) for ids in real) == 2


def test_carriers_and_answers_are_whole(built, tokenizer):
    world = read_world(built / "world")
    sports = [f" {fact.object}" for fact in world.facts if fact.relation == "sport"]
    split = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str
    for text in (" is employed by", " Question: the spice came at", "The word means 12", *sports):
        assert len(encode_pieces(tokenizer, [text])[0]) == len(split(text)), text
