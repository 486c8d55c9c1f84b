"""Whatever a file of facts or a pasted text holds, facts come of it, or one clear line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.facts.fact import SLOT
from core.facts.files import SUFFIXES
from core.facts.source import FactsSpec, load_facts
from core.facts.typed import parse_rows
from lab_app.form import sources
from lab_app.form.pasted import parse
from tests.facts.records import RECORDS
from tests.fuzzing import ANYTHING, altered, clear, damaged, inputs

ROW = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}
RECORD = [record for records in RECORDS.values() for record in records]
TABLE = 'subject;prompt;target\nFrance;"The capital; of {} is";Lyon\nPeru;Peru lies in;Asia\n'


def written(rows) -> bytes:
    return json.dumps(rows).encode()


FILES = [written([ROW, ROW]), written({"items": [ROW]}), TABLE.encode(), b"\n".join(map(written, RECORD[:3]))]
CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.text('{}[]",:;\t\n 1eNa', max_size=60).map(str.encode),
    st.sampled_from(FILES).flatmap(damaged),
    st.sampled_from(RECORD).flatmap(altered).map(lambda record: json.dumps([record], default=str).encode()),
)


@pytest.mark.fuzz
@inputs(60, 2500)
@given(content=CONTENTS, suffix=st.sampled_from(SUFFIXES), skip=st.booleans())
def test_a_file_may_hold_anything(tmp_path, content, suffix, skip):
    path = tmp_path / f"facts{suffix}"
    path.write_bytes(content)
    try:
        found = load_facts(FactsSpec(source=str(path), malformed="skip" if skip else "fail"), tmp_path)
    except UserError as error:
        clear(error)
    else:
        assert all(fact.prompt.count(SLOT) == 1 for fact in found.edit)
        for warning in found.warnings:
            clear(warning)


@pytest.mark.fuzz
@inputs(40, 1200)
@given(content=CONTENTS, suffix=st.sampled_from(sources.UPLOADED))
def test_an_upload_may_hold_anything(tmp_path, content, suffix):
    path = tmp_path / f"facts{suffix}"
    path.write_bytes(content)
    try:
        rows, problems, words = sources.uploaded(path)
    except UserError as error:
        clear(str(error).replace(str(tmp_path), "<class"))  # where the file lay is nobody's business
    else:
        assert rows
        clear(words)
        for problem in problems:
            clear(problem["message"])


@pytest.mark.fuzz
@inputs(40, 1200)
@given(content=CONTENTS)
def test_a_paste_may_hold_anything(content):
    try:
        rows = parse(content.decode("utf-8", "replace"))
    except UserError as error:
        clear(error)
    else:
        for problem in parse_rows(rows)[1]:
            clear(problem)


@pytest.mark.fuzz
@inputs(40, 800)
@given(rows=st.lists(altered(ROW) | st.dictionaries(st.text(max_size=5), ANYTHING, max_size=3), max_size=3))
def test_rows_of_the_page_may_hold_anything(rows):
    rows = [row for row in rows if isinstance(row, dict)]
    facts, problems = parse_rows(rows)
    assert len(facts) + len(problems) <= len(rows)
    for problem in problems:
        clear(problem)
    for looked in sources.looked_up(rows, None):
        json.dumps(looked)
