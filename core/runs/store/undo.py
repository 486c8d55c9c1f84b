"""Undo: takes a run back to the end of an earlier round, from which it goes on as if later rounds had never been run.

Nothing is erased from the events. One more is committed, `Undone`, together with the run's new status, and whoever
reads them leaves out what it names (`events.standing`). So events stay append-only and numbered: a page that has read
up to some number hears of the undo like of any other step, where rows cut off behind its back and numbers given out
twice would escape it. And it stays true that everything follows from the events: files are brought in line with them
after the commit, and once more whenever the run goes on, so a worker that dies in between has lost nothing. Since it
is then asked the same again, what is asked is the round to go back to, which can be done twice, and not a number of
rounds, which cannot.
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
    """Take every lane of a run that does not go on back to the end of round `to` (default: the round before its last;
    0: the unedited model). The run is paused there. Returns `{"to", "message"}`; `UserError` where that cannot be."""
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
    """What was undone, and where the run is now."""
    what = f"Round {last} is undone" if to == last - 1 else f"Rounds {to + 1} to {last} are undone"
    return f"{what}; resume to go on from {f'the end of round {to}' if to else 'the unedited model'}."


def bring_in_line(folder: RunFolder, events: Sequence[Mapping[str, Any]]) -> None:
    """Let a run's folder hold what its committed events say: tables written anew, no updates of the ledger past them,
    and `facts.csv`, which is of a run's end, only if every lane has come to its own."""
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
