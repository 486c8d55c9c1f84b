"""One reader for tables that are pasted and tables in files."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.facts.cells import CellError
from core.facts.files import read_file
from core.facts.tables import read_table
from lab_app.form.pasted import parse
from lab_app.form.sources import uploaded

FACT = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}


@pytest.mark.parametrize(
    "text",
    [
        "subject,prompt,target,truth\nFrance,The capital of {} is,Lyon,Paris\n",
        "\ufeffSubject;PROMPT;Target ; truth\r\nFrance;The capital of {} is;Lyon;Paris\r\n",
        "target\tsubject\tprompt\ttruth\nLyon\tFrance\tThe capital of {} is\tParis",
        "subject,prompt,target,truth,\nFrance,The capital of {} is,Lyon,Paris,\n,,,,\n",
        "France,The capital of {} is,Lyon,Paris",
        "France;The capital of {} is;Lyon;Paris\n\n",
        "France\tThe capital of {} is\tLyon\tParis\n",
        'subject;prompt;target;truth\nFrance;"The capital of {} is";Lyon;Paris',
    ],
)
def test_upload_and_paste_read_the_same_rows(tmp_path, text):
    path = tmp_path / "facts.csv"
    path.write_text(text, encoding="utf-8")
    assert parse(text) == uploaded(path)[0] == [FACT]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject,prompt,target,Target\na,b {},c,d", 'columns 3 and 4 are both called "target"'),
        ('subject,prompt,target\na,"b {},c\n', "line 2: not CSV (a double quote is opened and never closed"),
        ('subject,prompt,target\na,"b" {},c\n', "line 2: not CSV (text goes on after a closing double quote"),
        ("subject,prompt,target\na,b {},c,d\n", "has 4 cells, more cells than columns (subject, prompt, target)"),
        ("subject,prompt,target\na," + "b" * 140_000 + ",c\n", "line 2: not CSV (a cell of more than 131,072"),
        ("subject,prompt,target,\na,b {},c,d\n", "column 4"),
    ],
)
def test_upload_and_paste_refuse_the_same(tmp_path, text, words):
    path = tmp_path / "facts.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as pasted:
        parse(text)
    assert words in str(pasted.value)
    if words != "column 4":  # an upload says which columns it left out
        with pytest.raises(ValueError) as sent:
            uploaded(path)
        assert words in str(sent.value)
    else:
        assert words in uploaded(path)[2]


def test_quotes_that_a_spreadsheet_copies_as_they_are():
    assert parse('Hamlet\t"{}" was written by\tGoethe')[0]["prompt"] == '"{}" was written by'


def test_a_file_without_known_columns_has_a_header_all_the_same(tmp_path):
    path = tmp_path / "facts.csv"
    path.write_text("question,answer,other\nWho?,me,x\n")
    assert read_file(path) == [{"question": "Who?", "answer": "me", "other": "x"}]


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(str.strip)


@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=4), mark=st.sampled_from("\t;,"))
def test_what_a_writer_writes_is_read_back(rows, mark):
    written = io.StringIO()
    csv.writer(written, delimiter=mark).writerows([["subject", "prompt", "target"], *rows])
    table = read_table(written.getvalue())
    assert [list(row.values()) for _, row in table.rows] == rows


@given(text=st.text('ab,;\t\n"{}', max_size=30))
def test_any_text_is_a_table_or_a_problem(text):
    for pasted in (False, True):
        try:
            table = read_table(text, pasted)
        except CellError:
            continue
        assert all(isinstance(row, str) or set(table.names) - {""} <= set(row) for _, row in table.rows)
