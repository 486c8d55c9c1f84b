"""Whatever a record holds, it becomes facts that keep their promises or a problem with its place."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.facts.dataset import known, read_rows
from core.facts.fact import SLOT, Fact
from core.facts.source import FactsSpec, load_facts
from tests.facts.records import RECORDS
from tests.fuzzing import changed, places

TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(["", " ", "{}", "{} {}", "Mira Olsen", " harp", "\ud83d", "\0"])
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=6), inside, max_size=3),
    max_leaves=6,
)
CASES = [(name, index) for name, records in RECORDS.items() for index in range(len(records))]


def check(reading, rows):
    assert len(reading.groups) + len(reading.problems) <= rows
    for problem in reading.problems:
        assert 1 <= problem.row <= rows
        assert "\n" not in str(problem)
        assert str(problem).encode("utf-8")
    for fact in (fact for group in reading.groups for fact in group):
        assert fact.prompt.count(SLOT) == 1
        assert fact.subject
        assert fact.target == fact.target.strip() != ""
        assert fact.truth != fact.target
        assert fact.target not in fact.aliases
        assert all(question.prompt and question.answer for question in (*fact.portability, *fact.locality))
        assert Fact.from_dict(json.loads(json.dumps(fact.as_dict()))) == fact
        fact.text.encode("utf-8")


@pytest.mark.parametrize(("name", "index"), CASES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_part_of_a_record_may_be_anything(name, index, data):
    dataset, record = known()[name], RECORDS[name][index]
    path = data.draw(st.sampled_from(list(places(record))))
    check(read_rows([changed(record, path, data.draw(ANYTHING))], dataset), 1)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ANYTHING, max_size=4), name=st.sampled_from(sorted(known())))
def test_rows_may_be_anything(rows, name):
    for subset in known()[name].subsets:
        check(read_rows(rows, known()[name], subset), len(rows))


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=40) | st.text(max_size=40).map(str.encode) | ANYTHING.map(json.dumps).map(str.encode))
@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_files_may_hold_anything(tmp_path_factory, suffix, content):
    path = tmp_path_factory.mktemp("any") / f"facts.{suffix}"
    path.write_bytes(content)
    try:
        found = load_facts(FactsSpec(source=str(path), malformed="skip"), path)
    except UserError as error:
        told = str(error)
        assert "\n" not in told  # noqa: PT017 (most contents are no facts, but lines without a header may be some)
    else:
        assert suffix == "csv"
        assert all(fact.prompt.count(SLOT) == 1 for fact in found.edit)
