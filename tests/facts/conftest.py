"""Readers of the datasets, as the tests use them."""

import json
from pathlib import Path

import pytest

from core.facts.dataset import named, read_rows
from core.facts.source import FactsSpec, load_facts

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def facts_of():
    """The facts of one record of a dataset."""

    def read(dataset, record, subset=""):
        reading = read_rows([record], named(dataset), subset)
        assert not reading.problems, reading.problems
        return reading.groups[0]

    return read


@pytest.fixture
def problem_of():
    """What is wrong with one record of a dataset, as "row 1, field: reason"."""

    def read(dataset, record, subset=""):
        reading = read_rows([record], named(dataset), subset)
        assert not reading.groups
        return str(reading.problems[0])

    return read


@pytest.fixture
def load(tmp_path):
    """Load a spec's facts; records given as a list become a JSON file first."""

    def load(records=None, name="facts.json", **spec):
        if records is not None:
            path = tmp_path / name
            path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
            spec = {"path": str(path), **spec} if "source" in spec else {"source": str(path), **spec}
        return load_facts(FactsSpec(**spec), tmp_path)

    return load


@pytest.fixture
def real():
    """The real records of a file."""

    def read(name):
        if not (REAL / name).is_file():
            pytest.skip(f"no real records: {REAL / name} is not there")
        return REAL / name, json.loads((REAL / name).read_text(encoding="utf-8"))

    return read
