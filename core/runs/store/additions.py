"""Adds lanes to an existing run, from the unedited model or from a round of another lane. Needs no torch.

The run gets a longer spec and is queued. The worker edits and measures what the events do not have yet. Existing
results are not changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UserError
from core.runs.spec.lanes import check_origins
from core.runs.spec.left_out import check_there
from core.runs.spec.plan import Past
from core.runs.spec.run_spec import MOST_ROWS, RunSpec
from core.runs.store.store import Run, Store

ADDED = "Lanes were added."


def extended(spec: Mapping[str, Any], lanes: Sequence[Any]) -> RunSpec:
    """A run's spec with more lanes. Raises `SpecError` for invalid lanes, `UserError` for labels that are taken.

    The page uses it too, to check lanes before it sends them. `lanes[i]` in messages counts the existing lanes first.
    """
    if not isinstance(lanes, Sequence) or isinstance(lanes, str) or not lanes:
        raise UserError('no lanes were given; add at least one, such as {"method": "memit"}')
    first = RunSpec.from_dict(spec, max_facts=MOST_ROWS)
    for lane in lanes:
        if isinstance(lane, Mapping) and lane.get("name") in first.labels():
            raise UserError(f'this run has a lane "{lane["name"]}" already; give the new one another name')
    return RunSpec.from_dict({**first.as_dict(), "lanes": [*first.lanes, *lanes]}, max_facts=MOST_ROWS)


def add_lanes(store: Store, run: Run, lanes: Sequence[Any]) -> dict[str, Any]:
    """Add lanes to a run that is not running, and queue it. `run` must have its spec.

    Returns `{"lanes": [their labels], "position": in the queue}`. Raises the errors of `extended`, and `UserError` for
    a lane that would branch from the last round or from a failed lane, or leave out a fact that does not exist.
    """
    assert run.spec is not None
    spec = extended(run.spec, lanes)
    past = Past(event for _, event in store.events(run.id))
    if past.started is not None:
        check_origins(spec.lanes, past.started["rounds"], past.failed)
        check_there(spec.lanes, past.started["facts"])
    store.extend(run.id, spec.as_dict(), ADDED)
    queued = store.get(run.id, spec=False)
    return {"lanes": spec.labels()[-len(lanes) :], "position": queued.position if queued else 0}


def more_lanes(first: Mapping[str, Any], second: RunSpec) -> list[dict[str, Any]]:
    """The lanes that `second` has in addition to those of `first`. Raises `UserError` if the specs differ otherwise."""
    was = RunSpec.from_dict(first, max_facts=MOST_ROWS)
    before, after = was.as_dict(), second.as_dict()
    more = after["lanes"][len(was.lanes) :]
    taken = [lane["name"] for lane in more if lane["name"] in was.labels()]
    if taken:
        raise UserError(f'this run has a lane "{taken[0]}" already; give the new one another name')
    after["lanes"] = after["lanes"][: len(was.lanes)]
    differing = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    differing = [name for name in differing if name not in ("title", "resolved")]
    if differing:
        advice = "choose another folder, or change nothing but adding lanes at the end"
        raise UserError(f"was begun with another spec ({', '.join(differing)} differ); {advice}")
    return more
