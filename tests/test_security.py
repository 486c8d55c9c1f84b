"""SECURITY.md says who may do what; each of its lines is a test."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if line.startswith("| ") and "held by" not in line]


def defined_in(file):
    return {node.name for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_all_four_kinds_of_people_have_lines():
    people = re.findall(r"^\| (.*) \| held by \|$", TEXT, flags=re.M)
    assert people == [
        *("anyone who reaches the port", "a visitor", "a visitor with a link", "a visitor with a key of their own"),
        "whoever runs the lab",
    ]
    assert len(ROWS) > 25


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_each_line_is_a_test(row):
    says, held = row
    file, name = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", held).groups()
    assert name in defined_in(ROOT / file), f"{says}: {held}"


def test_the_readme_leads_there():
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
