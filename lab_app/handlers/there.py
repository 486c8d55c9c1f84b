"""The lanes and rounds of a run, from its events. Requests for others fail at once, without the worker."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import UserError, nearest
from core.runs.spec.plan import Past
from lab_app.lab import Lab


def past_of(lab: Lab, run: str) -> Past:
    """The events of a run so far."""
    return Past(event for _, event in lab.store.events(run))


def lanes_there(past: Past, asked: Sequence[str] | None = None) -> list[str]:
    """All lanes of a run, or those of these labels. Raises `UserError` for one that does not exist, and for a run that
    has none yet."""
    lanes = [lane["label"] for lane in past.started["lanes"]] if past.started else []
    if not lanes:
        raise UserError("this run has not begun yet; ask again when its first round is being edited")
    for lane in asked or ():
        if lane not in lanes:
            raise UserError(f'there is no lane "{lane[:80]}"; {nearest(lane, lanes)}')
    return lanes if asked is None else list(asked)


def check_rounds(past: Past, lanes: Sequence[str], rounds: Sequence[int]) -> None:
    """Raises `UserError` for a round that one of these lanes has not reached."""
    for lane in lanes:
        last = past.last_edit(lane)
        for number in rounds:
            if not 0 <= number <= last:
                raise UserError(f'round {number} of "{lane}" is not edited yet; rounds 0 to {last} are')


def rounds_of(asked: str) -> list[int]:
    """The rounds of a text such as "0,5,10"; none of "last" and "all". Raises `UserError` for other texts."""
    if asked in ("last", "all"):
        return []
    parts = [part.strip() for part in asked.split(",")]
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise UserError(f'rounds: "{asked[:60]}" is neither all, last, nor numbers with commas such as 0,5,10')
    return [int(part) for part in parts]
