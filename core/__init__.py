"""The laboratory: facts ← models ← editing ← measures ← runs. Imports point that way; no browser is known here.

As a library:

    import core as lab

    run = lab.run("pocket", facts=lab.sample(100), lanes=["memit", "memit + revive(tau=0.1)"])
    run.rounds                                          # a pandas DataFrame; run.layers and run.facts likewise
    run["MEMIT"].at(3).ask("The capital of France is")
    run.figure("scores")                                # a plotly Figure of the same numbers as on the page

Names are imported when they are first used, so that `import core` loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.errors import UserError
    from core.runs.library.arguments import fact, sample
    from core.runs.library.lane import Lane, State
    from core.runs.library.model import Model, load
    from core.runs.library.results import Answer, Result
    from core.runs.library.run import Run, open_run, run

__version__ = "0.1.0"  # the only place: the build reads it from here

PUBLIC = {
    "UserError": "core.errors",
    "fact": "core.runs.library.arguments",
    "sample": "core.runs.library.arguments",
    "Lane": "core.runs.library.lane",
    "State": "core.runs.library.lane",
    "Model": "core.runs.library.model",
    "load": "core.runs.library.model",
    "Answer": "core.runs.library.results",
    "Result": "core.runs.library.results",
    "Run": "core.runs.library.run",
    "open_run": "core.runs.library.run",
    "run": "core.runs.library.run",
}
__all__ = [
    "Answer",
    "Lane",
    "Model",
    "Result",
    "Run",
    "State",
    "UserError",
    "fact",
    "load",
    "open_run",
    "run",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
