"""Gradio without the type stubs that it writes for editors each time it is imported.

For every component class Gradio reads its source, renders a `.pyi` file and compares it with the one on disk: a third
of the time of `import gradio`, for a file that only people who write components look at. A lab that is being opened
leaves it out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

WHERE, WHAT = "gradio.component_meta", "create_or_modify_pyi"


class Finder(MetaPathFinder):
    """Finds the one module that writes stubs, and takes that from it once it is loaded."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(name, path, target) if name == WHERE else None
        if found is None or found.loader is None:
            return None
        load = found.loader.exec_module

        def without_stubs(module: ModuleType) -> None:
            load(module)
            if hasattr(module, WHAT):
                setattr(module, WHAT, lambda *_: None)

        found.loader.exec_module = without_stubs  # type: ignore[method-assign]
        return found


def leave_out() -> None:
    """From now on `import gradio` writes no stubs; no effect if it has been imported."""
    if WHERE not in sys.modules and not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
