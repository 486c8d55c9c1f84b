"""The order of the queue: owners take turns, so that ten runs of one owner do not delay another owner's first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any


def in_turn(runs: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Ids of the queued runs (or studies) in the order in which they will run.

    `runs` have `id, owner, status, queued, started` (seconds). An owner's first queued run comes before any owner's
    second. Ties go to the owner who was served longest ago, then to the run that waits longest. An owner with a running
    run starts one place back.
    """
    waiting: defaultdict[str, list[tuple[float, Any]]] = defaultdict(list)
    served: defaultdict[str, float] = defaultdict(float)
    going: defaultdict[str, int] = defaultdict(int)
    for run in runs:
        served[run["owner"]] = max(served[run["owner"]], run["started"] or 0.0)
        if run["status"] == "running":
            going[run["owner"]] += 1
        if run["status"] == "queued":
            waiting[run["owner"]].append((run["queued"], run["id"]))
    places = [
        (going[owner] + place, served[owner], since, run)
        for owner, queued in waiting.items()
        for place, (since, run) in enumerate(sorted(queued))
    ]
    return [run for *_, run in sorted(places)]
