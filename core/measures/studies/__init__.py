"""Studies, one file each: measures made on request, on a lane that is there. A module exports its class as STUDY.

A study is a frozen dataclass whose fields are its options (`editing.settings.parameters.param`). It has `title`,
`question` (what it answers, in one sentence), `source` (paper and figure or equation) and `run(case, rounds) ->
StudyResult`, where `case` is the lane (`measures.study.case`) and `rounds` those asked for, ascending. A study whose
lanes share something, such as an embedding, also has `compared(cases, rounds)`; its arguments and its results are by
lane.
One that reads weights, or states inside the model, says so by `of` ("weights", "states"): it is refused for lanes
that change none. It reports progress by `case.report(done, total)` between its pieces, as the loops over rounds of
`measures.study.loop` do; one that may take long has `seconds(case, rounds)`, an estimate that is told before it
begins. Command line and page find it by its file, or by its folder where it has mathematics of its own beside it.
"""

from __future__ import annotations

from pathlib import Path

from core.editing.settings import registry

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all studies."""
    return registry.names(FOLDER)


def get(name: str) -> type:
    """A study's class; raises `UserError` for a name that is not one of `names()`."""
    return registry.get(__name__, FOLDER, name, "STUDY", object)
