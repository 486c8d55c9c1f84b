"""Where the lab's own files lie. A checkout has them beside its packages; a wheel brings them inside this one."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent  # the folder from which `core` and `lab_app` are imported
INSTALLED = (PACKAGE / "assets").is_dir()
ASSETS = (PACKAGE if INSTALLED else ROOT) / "assets"  # holds `pocket/`: the model, its world and its tasks
