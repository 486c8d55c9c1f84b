"""Functions of the front end, called in a page that is open."""

from __future__ import annotations

from typing import Any

from lab_app.frontend import address

CALL = "async ([module, name, given]) => (await import(module))[name](...given)"


def call(page: Any, module: str, name: str, *given: Any) -> Any:
    """What an exported function gives, e.g. `call(page, "charts/sweep.js", "values", 1, 100, 3, True, True)`."""
    return page.evaluate(CALL, [address(module), name, list(given)])
