"""CONTRIBUTING.md names files and what they export; both are there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:core|lab_app|tests|assets)/[\w/.-]*)`", TEXT)))
NEW = re.findall(r"`([\w/]+)/NAME\.py`(?:, `([\w/]+)/NAME\.py`)? \| `(\w+)`(?:, `(\w+)`)?", TEXT)
EXPORTS = [(folder, name) for one, two, *names in NEW for folder, name in zip((one, two), names, strict=True) if folder]


@pytest.mark.parametrize("path", [path for path in PATHS if "NAME" not in path])
def test_the_path_is_there(path):
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


@pytest.mark.parametrize("folder, name", [(folder, name) for folder, name in EXPORTS if name.isupper()])
def test_every_file_of_the_folder_exports_that(folder, name):
    files = [path.stem for path in sorted((ROOT / folder).glob("[a-z]*.py"))]
    rooms = [path.parent.name for path in (ROOT / folder).glob("[a-z]*/__init__.py")]
    modules = [import_module(f"{folder.replace('/', '.')}.{found}") for found in [*files, *rooms]]
    assert len(modules) > 1 or folder.endswith("wrappers")
    having = [module for module in modules if hasattr(module, name)]
    without = {module.__name__.rpartition(".")[2] for module in modules if module not in having}
    assert without <= {"lesson", "markup", "standing", "pocket", "everyday"}  # what the others of their folder share


def test_the_kinds_of_new_things_are_told():
    assert {name for _, name in EXPORTS} >= {
        "METHOD",
        "GUARD",
        "PRIOR",
        "WRAPPER",
        "STUDY",
        "PANEL",
        "LESSON",
        "DATASET",
    }
