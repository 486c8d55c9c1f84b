"""Facts that a lane leaves out: one edit is undone by branching from the round before it, without its fact.

`"without": [6, 9]` beside a lane's `"from"` names facts by index from 0, as in events and tables. They are left out of
the rounds that the lane edits itself. The rounds before the branch are unchanged. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UserError
from core.runs.spec.problems import SpecProblem, path, shown

WITHOUT = "should be a list of facts to leave out, counted from 0: [6]"


def written(value: Any, at: Sequence[int | str]) -> list[SpecProblem]:
    """Problems of a lane's `without` by itself."""
    if value is None:
        return []
    whole = isinstance(value, list) and value and all(type(index) is int and index >= 0 for index in value)
    if not whole or sorted(set(value)) != value:
        return [SpecProblem(path(at), f"{WITHOUT}, ascending and each once, not {shown(value)}")]
    return []


def too_late(lanes: Any, size: Any) -> list[SpecProblem]:
    """Problems of left-out facts that were edited before their lane begins; a round has `size` facts. Lanes that cannot
    be read are skipped."""
    problems: list[SpecProblem] = []
    for i, lane in enumerate(lanes if isinstance(lanes, list) and type(size) is int and size > 0 else ()):
        if not isinstance(lane, Mapping) or written(lane.get("without"), []):
            continue
        begins, without = _begins(lane), lane.get("without") or ()
        early = next((index for index in without if index // size < begins), None)
        if early is not None:
            message = f"fact {early} is edited in round {early // size + 1}, and the lane begins after round {begins}"
            problems.append(SpecProblem(f"lanes[{i}].without", f"{message}; begin it from an earlier round"))
    return problems


def check_there(lanes: Sequence[Mapping[str, Any]], facts: int) -> None:
    """Raises `UserError` for a lane that leaves out a fact past the run's last."""
    for lane in lanes:
        if (last := max(lane.get("without") or (-1,))) >= facts:
            message = f'lane "{lane["name"]}" cannot leave out fact {last}'
            raise UserError(f"{message}: this run has facts 0 to {facts - 1}")


def left_out(lanes: Sequence[Mapping[str, Any]], size: int) -> dict[str, frozenset[int]]:
    """By label, the facts that a lane leaves out: its own, and its parent's in the rounds before the branch. The lanes
    must have names."""
    by_name = {lane["name"]: lane for lane in lanes}

    def of(name: str) -> frozenset[int]:
        lane = by_name[name]
        begins, own = _begins(lane), frozenset(lane.get("without") or ())
        return own | {index for index in (of(lane["from"]["lane"]) if begins else ()) if index // size < begins}

    return {name: of(name) for name in by_name}


def _begins(lane: Mapping[str, Any]) -> int:
    """The round after which a lane begins; 0 if it cannot be read, which is reported elsewhere."""
    begins = lane.get("from")
    number = begins.get("round") if isinstance(begins, Mapping) else 0
    return number if type(number) is int else 0
