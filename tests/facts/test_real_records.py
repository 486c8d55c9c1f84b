"""Readers on the real records beside the project (they are no part of it): skipped where those are not there."""

import unicodedata

import pytest

from core.errors import UserError
from core.facts.dataset import named, read_rows


def read(name, records, subset=""):
    reading = read_rows(records, named(name), subset)
    assert not reading.problems
    assert not reading.left_out
    return [fact for group in reading.groups for fact in group]


def same(text, other):
    """Up to outer spaces and the composition of characters."""
    return text == unicodedata.normalize("NFC", other).strip()


def test_counterfact(real, load):
    path, records = real("counterfact_easyedit.json")
    facts = load(source=str(path)).edit
    assert len(facts) == len(records) == 300
    for fact, record in zip(facts, records, strict=True):
        assert same(fact.text, record["prompt"])
        assert same(fact.target, record["target_new"])
        assert same(fact.truth, record["ground_truth"])
        assert same(fact.neighborhood[0].answer, record["locality_ground_truth"])


def test_zsre(real, load):
    path, records = real("zsre_mend.json")
    facts = load(source=str(path)).edit
    assert len(facts) == len(records)
    assert any(record["alt"].startswith(" ") for record in records)
    assert any(fact.truth is None for fact in facts)  # alternatives that are the gold answer
    for fact, record in zip(facts, records, strict=True):
        assert same(fact.text, record["src"])
        assert same(fact.target, record["alt"])
        assert fact.truth is None or same(fact.truth, record["answers"][0])
        assert same(fact.locality[0].prompt, record["loc"])
        assert same(fact.locality[0].answer, record["loc_ans"])
    for fact, record in zip(read("zsre", records, "answers"), records, strict=True):
        assert same(fact.target, record["answers"][0])


@pytest.mark.parametrize("name", ["zsre", "wiki_counterfact", "wiki_recent"])
def test_knowedit(real, load, name):
    path, records = real(f"knowedit_{name}.json")
    facts = load(source=str(path)).edit
    assert len(facts) == len(records)
    for fact, record in zip(facts, records, strict=True):
        assert same(fact.text, record["prompt"])
        assert same(fact.target, record["target_new"])
        gold = record.get("ground_truth", fact.target)
        assert (fact.truth is None) == (fact.target in ([gold] if isinstance(gold, str) else gold))
        for side in ("portability", "locality"):
            told = {kind: len(entries) for kind, entries in record[side].items()}
            found = [question.kind for question in getattr(fact, side)]
            assert {kind: found.count(kind.replace("_", " ").lower()) for kind in told} == told
            assert len(found) == sum(told.values())


def test_nested_gold_answers_are_flattened_in_order(real):
    _, records = real("knowedit_wiki_recent.json")
    facts, seen = read("knowedit", records), 0
    for fact, record in zip(facts, records, strict=True):
        entries = [entry for kind in record["locality"].values() for entry in kind]
        for question, entry in zip(fact.locality, entries, strict=True):
            flat = [answer for group in entry["ground_truth"] for answer in group if answer.strip()]
            assert same(question.answer, flat[0])
            assert {question.answer, *question.aliases} == {unicodedata.normalize("NFC", one).strip() for one in flat}
            seen += len(entry["ground_truth"]) > 1
    assert seen > 10


def test_mquake(real, load):
    path, records = real("mquake_cf.json")
    facts = load(source=str(path)).edit
    rewrites = [(record, rewrite) for record in records for rewrite in record["requested_rewrite"]]
    assert len(facts) == len(rewrites) > len(records)
    for fact, (record, rewrite) in zip(facts, rewrites, strict=True):
        assert same(fact.prompt, rewrite["prompt"])
        assert same(fact.target, rewrite["target_new"]["str"])
        last = rewrite is record["requested_rewrite"][-1]
        assert len(fact.portability) == (len(record["questions"]) if last else 0)
        untouched = len(record["new_single_hops"]) - len(record["requested_rewrite"])
        assert len(fact.locality) == (untouched if last else 0)
    assert all(question.aliases for fact in facts for question in fact.portability if question.answer == "Italy")


def test_events_of_elken_need_their_triples(real, load):
    """The slice has events with questions about tendencies alone: those are not read, so that triples must be given."""
    path, records = real("elken_events.json")
    with pytest.raises(UserError, match="row 1, triples: missing.* and 15 more"):
        load(source=str(path))
    for record in records:
        subject, _, rest = record["event"].partition(" ")
        record["triples"] = [{"subject": subject, "prompt": subject, "target_new": rest}]
    for fact, record in zip(read("elken", records), records, strict=True):
        assert same(fact.passage, record["event"])
        assert same(f"{fact.text} {fact.target}", record["event"])


def test_records_of_other_writings_pass_through(real):
    """The same records with subjects, prompts and answers in other scripts."""
    _, records = real("zsre_mend.json")
    scripts = [
        ("東京", "東京の言葉は何ですか", "日本語"),
        ("القاهرة", "ما هي لغة القاهرة؟", "العربية"),
        ("🦜", "Who is 🦜?", "🟢"),
    ]
    for record, (subject, source, answer) in zip(records, scripts, strict=False):
        (fact,) = read("zsre", [{**record, "subject": subject, "src": source, "alt": answer}])
        assert (fact.text, fact.target) == (source, answer)
        assert fact.prompt.count("{}") == 1
