import numpy as np
import pytest

from core.pocket.corpus import (
    LENGTH,
    WORD_WEIGHT,
    Sentence,
    encode_rows,
    epoch_batches,
    epoch_sentences,
    held_out_prompts,
    pack,
    text_rows,
)
from core.pocket.dictionary import DEFINITIONS
from core.pocket.tasks import all_tasks, held_out_items
from core.pocket.tokenizer import encode_pieces
from core.pocket.world import read_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sentences(world, tasks):
    return epoch_sentences(world, tasks, held_out_prompts(tasks, 0), "train-0-0")


def test_an_epoch_says_every_fact(world, sentences):
    answers = {(s.prompt, s.answer) for s in sentences}
    for fact in world.facts[::20]:
        assert any((t.format(fact.subject), fact.object) in answers for t in world.relations[fact.relation].templates)


def test_nothing_held_out_is_trained(world, tasks, sentences):
    trained = {s.prompt for s in sentences}
    for task in tasks:
        if task.practice:  # the prompts of `knowledge` are facts, which training does say
            assert not trained & {item.prompt for item in held_out_items(task, seed=0)}, task.name
    facts = [(fact, world.relations[fact.relation]) for fact in world.facts if fact.held_out]
    unseen = {template.format(fact.subject) for fact, relation in facts for template in relation.unseen_templates()}
    hops = {template.format(fact.subject) for fact, template, _ in world.hop_questions() if fact.held_out}
    assert len(unseen) > 10_000
    assert not trained & unseen
    assert len(hops) > 1_500
    assert not held_out_prompts(tasks, 0) & trained
    assert not trained & hops


def test_an_epoch_defines_every_word(world, sentences):
    templates = [template for of_kind in DEFINITIONS.values() for template in of_kind]
    single = [s for s in sentences if len(s.words) == 1]
    defined = {s.words[0] for s in single if any(template.format(s.words[0]) == s.prompt for template in templates)}
    assert defined == {word.text for word in world.dictionary.words}


def test_an_epoch_is_a_function_of_its_key(world, tasks, sentences):
    again = epoch_sentences(world, tasks, held_out_prompts(tasks, 0), "train-0-0")
    assert again == sentences
    assert epoch_sentences(world, tasks, held_out_prompts(tasks, 0), "train-0-1") != sentences


def test_pack_keeps_every_sentence_that_fits():
    lengths = [7, 3, 12, 5, 5, 30, 9, 1] * 40
    rows = list(pack(lengths, 20))
    assert sorted(n for row in rows for n in row) == [n for n, length in enumerate(lengths) if length <= 20]
    assert all(sum(lengths[n] for n in row) <= 20 for row in rows)


def test_rows_say_where_their_words_are(tokenizer, sentences):
    rows = encode_rows(sentences[:150], tokenizer, 64)
    found, meant = [], []
    for row, (tokens, marks) in enumerate(zip(rows.tokens, rows.words, strict=True)):
        for number in range(1, marks.max() + 1):
            at = np.flatnonzero(marks == number)
            assert (np.diff(at) == 1).all()
            found.append(tokenizer.decode(tokens[at]).strip())
            assert (rows.meanings[row][at] >= 0).tolist() == [False] * (len(at) - 1) + [True]
            meant.append(tokenizer.decode(rows.meanings[row][at[-1:]]).strip())
    assert (rows.meanings >= 0).sum() == len(found)
    said = [pair for s in sentences[:150] for pair in zip(s.words, s.meanings, strict=True)]
    pieces = encode_pieces(tokenizer, [f" {meaning}" for _, meaning in said])
    wanted = [(word, tokenizer.decode(ids[:1]).strip()) for (word, _), ids in zip(said, pieces, strict=True)]
    assert sorted(zip(found, meant, strict=True)) == sorted(wanted)


def test_rows_read_as_text(tokenizer):
    said = [Sentence("The capital of France is", "Paris", ("France",)), Sentence("The symbol of gold is", "Au")]
    rows = encode_rows(said, tokenizer, 64)
    assert rows.tokens.shape == rows.weights.shape == (1, 64)
    text = "The capital of France is Paris. The symbol of gold is Au."
    assert tokenizer.decode(rows.tokens[0], skip_special_tokens=True) == text
    kept = rows.tokens[0] != tokenizer.pad_token_id
    assert rows.tokens[0][kept].tolist() == tokenizer(text)["input_ids"]  # what training sees is what a prompt gives
    assert tokenizer.decode(rows.tokens[0][rows.weights[0] == 1]) == " Paris Au"
    assert not rows.weights[0][~kept].any()
    assert rows.weights[0, 0] == 0
    assert tokenizer.decode(rows.tokens[0][rows.weights[0] == np.float32(WORD_WEIGHT)]).strip() == "France"


def test_batches_have_two_shapes_and_little_padding(built, tokenizer):
    world = read_world(built / "world")
    tasks = all_tasks(world)
    batches = epoch_batches(epoch_sentences(world, tasks, frozenset(), "k"), tokenizer, 1_024, "k")
    assert {batch.tokens.shape for batch in batches} == {(1_024 // LENGTH, LENGTH)}
    filled = np.mean([(batch.tokens != tokenizer.pad_token_id).mean() for batch in batches])
    assert filled > 0.8


def test_text_rows_have_the_size_asked_for(sentences, tokenizer):
    text = text_rows(sentences, tokenizer, 5_000)
    assert 5_000 <= len(text) < 5_600
    assert text.endswith(".\n")


def test_build_wrote_what_others_read(built):
    for path in ("world/relations.json", "world/facts.jsonl", "tasks/index.json", "model/tokenizer.json"):
        assert (built / path).stat().st_size > 0, path
    corpus, held_out = ((built / "world" / f"{n}.txt").read_text(encoding="utf-8") for n in ("corpus", "heldout"))
    assert not set(corpus.splitlines()) & set(held_out.splitlines())
