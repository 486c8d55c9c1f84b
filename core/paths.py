"""Where the lab's own files lie. A checkout has them beside its packages; a wheel brings them inside this one."""

import os
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent  # the folder from which `core` and `lab_app` are imported
INSTALLED = (PACKAGE / "assets").is_dir()
ASSETS = (PACKAGE if INSTALLED else ROOT) / "assets"  # holds `pocket/`: the model, its world and its tasks


def default_home() -> Path:
    """`$LAB_HOME`, or the folder that the platform has for a program's data."""
    return Path(os.environ.get("LAB_HOME") or platformdirs.user_data_path("edit-lab"))
