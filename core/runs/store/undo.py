"""Undo: takes a run back to the end of an earlier round. It then continues as if later rounds had never been run.

No event is deleted. One more event, `Undone`, is committed together with the run's new status, and readers leave out
the events that it revokes (`events.standing`). So events stay append-only and numbered, and a page that has read up to
some number receives the undo like any other event. Files are brought in line with the events after the commit, and
again whenever the run resumes, so a worker that dies in between loses nothing. The command names the round to go back
to, not a number of rounds, so repeating it is harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.editing.deltas.ledger import Ledger
from core.errors import UserError
from core.runs.progress.events import Undone
from core.runs.spec.plan import Past
from core.runs.store.folder import RunFolder
from core.runs.store.store import Run, Store

GOES_ON = "the run goes on; pause or stop it, then undo"


def undo(store: Store, run: Run, to: int | None = None) -> dict[str, Any]:
    """Take every lane back to the end of round `to` (default: the round before the last; 0: the unedited model). The
    run must not be running and is paused there. Returns `{"to", "message"}`. Raises `UserError`."""
    if run.status in ("queued", "running"):
        raise UserError(GOES_ON)
    events = [event for _, event in store.events(run.id)]
    last = Past(events).last_round
    if not last and not to:
        raise UserError("there is nothing to undo: no round is edited")
    to = last - 1 if to is None else to
    if not 0 <= to <= last:
        raise UserError(f"the run cannot be taken back to the end of round {to}: rounds 0 to {last} are edited")
    message = f"This run is at the end of round {to}; nothing was undone."
    if to < last:
        undone = Undone(to=to)
        message = undone_message(to, last)
        store.append(run.id, [undone], status="paused", message=message)
        events.append(undone.as_dict())
    bring_in_line(RunFolder(run.folder), events)
    return {"to": to, "message": message}


def undone_message(to: int, last: int) -> str:
    """The message about what was undone, and where the run is now."""
    what = f"Round {last} is undone" if to == last - 1 else f"Rounds {to + 1} to {last} are undone"
    return f"{what}; resume to continue from {f'the end of round {to}' if to else 'the unedited model'}."


def bring_in_line(folder: RunFolder, events: Sequence[Mapping[str, Any]]) -> None:
    """Bring a run's folder in line with its committed events: rewrite the tables, delete updates of later rounds from
    the ledger, and delete `facts.csv` unless every lane has ended."""
    folder.restore(events)
    past = Past(events)
    if past.started is None:
        return
    ledger, lanes = Ledger(folder.ledger), [lane["label"] for lane in past.started["lanes"]]
    for lane in lanes:
        ledger.delete(lane, after=past.last_edit(lane))
        if lane in past.origins:
            ledger.branch(lane, *past.origins[lane])
    if any(past.last_edit(lane) < past.started["rounds"] for lane in lanes if lane not in past.failed):
        folder.file("facts").unlink(missing_ok=True)
