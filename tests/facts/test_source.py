import json

import pytest
from pydantic import ValidationError

from core.errors import UserError
from core.facts import source
from core.facts.readers.pocket import PocketWorld
from core.facts.source import MOST, FactsSpec, load_facts
from tests.facts.records import ZSRE

ROW = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}

RELATIONS = {
    "birthplace": {
        "templates": ["{} was born in", "{} comes from", "The home town of {} is"],
        "held_out": [2],
        "hops": [{"template": "{} was born in the country of", "relation": "country"}],
    },
    "country": {"templates": ["{} is a city in", "{} lies in"], "held_out": [1], "hops": []},
}


def world():
    homes = ["Lyon", "Turin", "Porto"]
    facts = [
        {"id": f"p{i}", "relation": "birthplace", "subject": f"Person {i}", "object": homes[i % 3], "reserved": i == 0}
        for i in range(30)
    ]
    lands = [("Lyon", "France"), ("Turin", "Italy"), ("Porto", "Portugal")]
    facts += [{"id": c, "relation": "country", "subject": c, "object": land, "reserved": True} for c, land in lands]
    return PocketWorld.of(RELATIONS, facts)


def test_pocket_samples_are_counterfactual_and_complete():
    facts = world().sample(29, seed=3)
    assert len({fact.subject for fact in facts}) == 29
    assert "Person 0" not in {fact.subject for fact in facts}  # reserved
    homes = {"Lyon": "France", "Turin": "Italy", "Porto": "Portugal"}
    for fact in facts:
        assert fact.target != fact.truth
        assert fact.paraphrases == (f"The home town of {fact.subject} is",)
        assert fact.portability[0].answer == homes[fact.target]
        assert fact.neighborhood
        assert all(n.answer == fact.truth for n in fact.neighborhood)
        assert all(fact.subject not in n.prompt.split(" was") for n in fact.neighborhood)


def test_pocket_samples_repeat_from_their_seed_and_differ_between_seeds():
    assert world().sample(10, seed=1) == world().sample(10, seed=1)
    assert world().sample(10, seed=1) != world().sample(10, seed=2)


def test_unedited_facts_are_true_and_of_other_subjects():
    edited = world().sample(10)
    left = world().unedited(edited, 15)
    assert len(left) == 15
    assert not {fact.subject for fact in left} & {fact.subject for fact in edited}
    assert all(world().object_of[fact.relation, fact.subject] == fact.target for fact in left)


def test_more_facts_than_subjects_is_refused():
    with pytest.raises(UserError, match="29 subjects"):
        world().sample(30)


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_files_of_facts(tmp_path, suffix):
    rows = [{**ROW, "subject": f"Land {i}"} for i in range(5)]
    path = tmp_path / f"facts.{suffix}"
    path.write_text(
        {
            "csv": "\n".join([",".join(ROW)] + [",".join(row.values()) for row in rows]),
            "json": json.dumps(rows),
            "jsonl": "\n".join(json.dumps(row) for row in rows),
        }[suffix]
    )
    found = load_facts(FactsSpec(source=str(path), count=3), tmp_path)
    assert [fact.subject for fact in found.edit] == ["Land 0", "Land 1", "Land 2"]
    assert {fact.subject for fact in found.unedited} == {"Land 3", "Land 4"}
    assert all(fact.target == "Paris" for fact in found.unedited)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("facts.txt", "", "csv, .json or .jsonl"),
        ("missing.csv", None, "no such file"),
        ("facts.json", "{", "line 1"),
        ("facts.json", "3", "expected a list"),
        ("facts.jsonl", '{"subject": "a"}\n[', "line 2"),
        ("facts.csv", "subject,prompt,target\na,b,c,d", "more cells than columns"),
        ("facts.json", "[]", "no facts"),
        ("facts.jsonl", json.dumps({**ROW, "prompt": "nothing"}), "row 1, prompt"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=words) as caught:
        load_facts(FactsSpec(source=str(tmp_path / name)), tmp_path)
    assert "\n" not in str(caught.value)


def test_text_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "facts.csv").write_bytes(b"subject\n\xff\xfe")
    with pytest.raises(UserError, match="UTF-8"):
        load_facts(FactsSpec(source=str(tmp_path / "facts.csv")), tmp_path)


def test_too_many_rows_are_refused_at_once(tmp_path):
    with pytest.raises(UserError, match=f"at most {MOST:,}"):
        load_facts(FactsSpec(items=[ROW] * 100_000), tmp_path)


def test_many_problems_are_summed_up(tmp_path):
    with pytest.raises(UserError, match="and 95 more"):
        load_facts(FactsSpec(items=[{**ROW, "target": ""}] * 100), tmp_path)


def test_exactly_one_source():
    for wrong in ({}, {"source": "pocket", "items": [ROW]}, {"source": "pocket", "cuont": 3}):
        with pytest.raises(ValidationError):
            FactsSpec(**wrong)


def test_a_missing_world_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match="pocket build"):
        load_facts(FactsSpec(source="pocket"), tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [("relations.json", "{"), ("relations.json", "[" * 9_999), ("facts.jsonl", "{"), ("facts.jsonl", "[3]")],
)
def test_a_damaged_world_says_how_to_make_it(tmp_path, name, content):
    folder = tmp_path / "pocket" / "world"
    folder.mkdir(parents=True)
    (folder / "relations.json").write_text(json.dumps(RELATIONS))
    (folder / "facts.jsonl").write_text(json.dumps(world().facts[0]))
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=f"{name}: damaged; make the world with"):
        load_facts(FactsSpec(source="pocket"), tmp_path)


BAD = {**ROW, "target": ""}


def test_malformed_rows_are_fatal_or_skipped_and_counted(tmp_path):
    path = tmp_path / "facts.jsonl"
    lines = [json.dumps(ROW), "{", json.dumps(BAD), "7", json.dumps({**ROW, "subject": "Peru"})]
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match='row 2: line 2: not JSON .*; row 3, target: .*"malformed": "skip"'):
        load_facts(FactsSpec(source=str(path)), tmp_path)
    found = load_facts(FactsSpec(source=str(path), malformed="skip"), tmp_path)
    assert [fact.subject for fact in found.edit] == ["France", "Peru"]
    assert [problem.row for problem in found.problems] == [2, 3, 4]
    (warning,) = found.warnings
    assert "3 of 5 records hold no fact and were left out, such as row 2: line 2" in warning


def test_a_field_that_is_given_twice_is_told_at_its_row(tmp_path):
    good, twice = json.dumps(ROW), '{"subject": "a", "prompt": "{} is", "target": "b", "target": "c"}'
    for name, text in (("facts.jsonl", f"{good}\n{twice}"), ("facts.json", f"[{good}, {twice}]")):
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match='row 2: .*"target" is given twice; keep one'):
            load_facts(FactsSpec(source=str(tmp_path / name)), tmp_path)
        found = load_facts(FactsSpec(source=str(tmp_path / name), malformed="skip"), tmp_path)
        assert [fact.subject for fact in found.edit] == ["France"]


def test_numbers_that_are_none_are_told_at_their_cell(tmp_path):
    path = tmp_path / "facts.json"
    for cell, words in (
        ("1e999", "row 1, target: 1e999 is larger"),
        ("Infinity", "row 1, target: Infinity is no number"),
        ("9" * 5000, "row 1, target: a number of 5,000 digits"),
        ("NaN", "row 1, target: empty"),
    ):
        path.write_text(f'[{{"subject": "a", "prompt": "{{}} is", "target": {cell}}}]')
        with pytest.raises(UserError, match=words):
            load_facts(FactsSpec(source=str(path)), tmp_path)


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    import pyarrow
    from pyarrow import parquet

    column = pyarrow.array(["a"])
    parquet.write_table(pyarrow.table([column] * 2, names=["target", "target"]), tmp_path / "facts.parquet")
    with pytest.raises(UserError, match='facts.parquet: two columns are called "target"'):
        load_facts(FactsSpec(source=str(tmp_path / "facts.parquet")), tmp_path)


def test_nothing_left_after_skipping_says_why(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text(json.dumps([BAD]))
    with pytest.raises(UserError, match="no facts; row 1, target: empty"):
        load_facts(FactsSpec(source=str(path), malformed="skip"), tmp_path)


def test_facts_come_in_their_order_or_shuffled_by_the_seed(tmp_path):
    items = [{**ROW, "subject": f"Land {i}"} for i in range(20)]

    def subjects(**spec):
        return [fact.subject for fact in load_facts(FactsSpec(items=items, count=10, **spec), tmp_path).edit]

    assert subjects() == subjects(seed=3) == [f"Land {i}" for i in range(10)]
    assert subjects(shuffle=True, seed=3) == subjects(shuffle=True, seed=3) != subjects(shuffle=True, seed=4)


@pytest.mark.parametrize("subset, said", [("alt", "the alternative answer (alt)"), ("answers", "the record's gold")])
def test_which_of_zsres_answers_is_taught_is_told(tmp_path, subset, said):
    path = tmp_path / "zsre.json"
    path.write_text(json.dumps([ZSRE] * 3))
    found = load_facts(FactsSpec(source="zsre", path=str(path), subset=subset), tmp_path)
    assert f"ZsRE: what is taught is {said}" in found.taught
    rows = [fact.as_dict() for fact in found.edit]  # as an upload travels
    assert load_facts(FactsSpec(items=rows), tmp_path).taught == found.taught
    assert load_facts(FactsSpec(items=[ROW]), tmp_path).taught == ""


def test_more_facts_than_there_are_is_refused(tmp_path):
    with pytest.raises(UserError, match="facts.count: 3 facts asked, facts.items has 2"):
        load_facts(FactsSpec(items=[ROW] * 2, count=3), tmp_path)


def test_a_large_file_asks_for_a_count(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "MOST", 3)
    path = tmp_path / "facts.json"
    path.write_text(json.dumps([ROW] * 4))
    with pytest.raises(UserError, match='4 facts, at most 3 facts fit one run; say how many as "count"'):
        load_facts(FactsSpec(source=str(path)), tmp_path)
    assert len(load_facts(FactsSpec(source=str(path), count=3), tmp_path).edit) == 3


def test_what_belongs_to_an_edit_does_not_follow_a_fact_left_alone(tmp_path):
    other = {
        **ROW,
        "subject": "Peru",
        "aliases": ["Lugdunum"],
        "portability": ["Its river is => Rhône"],
        "locality": ["Its sea is => Pacific"],
        "paraphrases": ["Peru is governed from"],
        "generation": ["Peru is"],
        "references": ["Lyon."],
    }
    (fact,) = load_facts(FactsSpec(items=[ROW, other], count=1), tmp_path).unedited
    assert (fact.target, fact.truth, fact.paraphrases) == ("Paris", None, ("Peru is governed from",))
    assert {fact.aliases, fact.portability, fact.locality, fact.generation, fact.references} == {()}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"source": "pocket", "path": "x.json"}, "records of a dataset lie"),
        ({"items": [ROW], "split": "train"}, "leave it out"),
        ({"source": "zsre", "subset": "anser"}, 'did you mean "answers"'),
        ({"source": "mquake", "subset": "x"}, '"mquake" has no subsets'),
        ({"source": "pocket", "malformed": "ignore"}, "malformed"),
    ],
)
def test_options_that_do_not_fit_are_refused(spec, words):
    with pytest.raises(ValidationError, match=words):
        FactsSpec(**spec)


def test_a_misspelt_dataset_names_the_nearest(tmp_path):
    with pytest.raises(UserError, match='no dataset or file "counterfacts"; did you mean "counterfact"'):
        load_facts(FactsSpec(source="counterfacts"), tmp_path)
