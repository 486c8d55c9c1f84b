"""Outside: what the model could do before, and can it still?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, frac, power, row, sub, total, under, words
from lab_app.panels.panel import Panel, Payload, point, short


def start(event: Mapping[str, Any]) -> Payload:
    """What guessing gets right of each task, and of their mean where that is known of all that count in it; where the
    run noted it, in what each task counts (`units`) and which of them the mean is over (`counted`)."""
    found = event.get("tasks") or {}
    chances = {name: short(info["chance"]) for name, info in found.items() if info.get("chance") is not None}
    counted = [name for name, info in found.items() if info.get("in_mean")]
    if counted and all(name in chances for name in counted):
        chances["mean"] = short(sum(found[name]["chance"] for name in counted) / len(counted))
    units = {name: info["called"] for name, info in found.items() if info.get("called")}
    return {"chance": chances} | ({"units": units, "counted": counted} if units else {})


def tasks(event: Mapping[str, Any]) -> Payload | None:
    """Each task in its own unit, and the mean of those that are shares, 0..1."""
    found = event.get("scores") or {}
    each = {name.removeprefix("task_"): short(share) for name, share in found.items() if name.startswith("task_")}
    mean = each.pop("mean", None)
    if mean is None and not each:
        return None
    return point(event) | {"edits": found.get("edits"), "mean": mean, "tasks": each}


PANEL = Panel(
    key="tasks",
    title="What it can still do",
    protocol="each task in its own unit; of choices the likeliest counts",
    promise="Can the model still do what it could before?",
    explanation="None of these questions is about an edited fact, so a line that falls is damage done in passing. "
    "Each choice is scored by the probability that the model gives to its text; the dotted line is the model before "
    "any edit, the dashed one what guessing gets right.",
    equation=formula(
        words("accuracy"),
        "=",
        frac("1", "n"),
        total("i", "[", under("arg max", "c"), row("P", "(", "c", "|", sub("x", "i"), ")", "=", power("c", "*"), "]")),
    ),
    row=tasks,
    start=start,
)
