"""`torch`, imported on first use.

The page's process reads method and guard configurations (to check a spec, to draw the controls) but must open at
once and never computes. So the modules that hold those configurations take `torch` from here.
"""

from importlib import import_module
from typing import Any


class LazyModule:
    """Stands for a module and imports it when an attribute is first asked for."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


torch: Any = LazyModule("torch")
