"""`torch`, imported on first use.

The page's process reads the configurations of methods and guards, to check a spec and to draw controls. It computes
nothing and has to open at once. So modules that hold configurations take `torch` from here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any


class LazyModule:
    """Stands for a module and imports it when an attribute is first asked for."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


if TYPE_CHECKING:
    import torch as torch
else:
    torch = LazyModule("torch")
