import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import UserError
from core.facts.dataset import known, recognised
from tests.facts.records import COUNTERFACT, FLAT, KNOWEDIT, RECORDS, ZSRE

ROW = {"subject": "Oslo", "prompt": "{} lies in", "target": "Italy"}
NAMES = ["conceptedit", "counterfact", "elken", "knowedit", "mquake", "table", "zsre"]


def test_every_reader_is_found_by_its_file():
    assert sorted(known()) == NAMES


@pytest.mark.parametrize(("name", "record"), [(name, row) for name, rows in RECORDS.items() for row in rows])
def test_records_are_recognised_by_their_fields(name, record):
    assert recognised([record], "file").name == name


@pytest.mark.parametrize("row", [ROW, {"subject": "Oslo"}, {**ROW, "taget": "x"}, {"prompt": "x", "target": "y"}])
def test_our_own_columns_are_recognised_with_their_mistakes(row):
    assert recognised([row], "file").name == "table"


def test_malformed_records_do_not_hide_what_a_file_is():
    assert recognised([3, {}, {"subject": "x"}, ZSRE], "file").name == "zsre"


def test_an_unknown_shape_names_what_was_looked_for():
    with pytest.raises(UserError, match="not recognised by its fields") as caught:
        recognised([{"question": "x", "answer": "y"}], "file.json")
    said = str(caught.value)
    assert "question, answer" in said
    assert all(name in said for name in NAMES)
    assert "\n" not in said


def test_several_shapes_ask_for_the_name():
    with pytest.raises(UserError, match="fields of counterfact and knowedit; say which"):
        recognised([FLAT, KNOWEDIT], "file.json")


def test_a_named_dataset_of_another_shape_is_refused(load):
    with pytest.raises(UserError, match="holds no records of counterfact .* it looks like zsre"):
        load([ZSRE], source="counterfact")
    with pytest.raises(UserError, match="its fields are a, b"):
        load([{"a": 1, "b": 2}], source="counterfact")


def test_named_datasets_read_the_same_as_recognised_ones(load):
    assert load([COUNTERFACT, FLAT], source="counterfact").edit == load([COUNTERFACT, FLAT]).edit


def test_readers_are_light():
    code = (
        "import sys; from core.facts.dataset import known; known();"
        "print(*{'torch', 'transformers', 'datasets', 'huggingface_hub', 'pyarrow', 'pandas'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
