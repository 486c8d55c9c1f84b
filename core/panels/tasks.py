"""Outside: does the model keep its abilities?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, frac, power, row, sub, total, under, words
from core.charts.grammar import Chart, Choice, Chosen, Figure, Plot, Rule
from core.charts.panel import Event, Panel, Start
from core.charts.table import EDITS, LANE, ROUND, Block, Column, short

MEAN, PREFIX = "task_mean", "task_"
GUESSING = "guessing"
ACCURACY = "accuracy"


def start(event: Event) -> Start:
    """A column for each task of this run, with its metric, and the chance level of each and of their mean, if it is
    known for all tasks in the mean."""
    infos = event.get("tasks") or {}
    chances = {PREFIX + name: short(info["chance"]) for name, info in infos.items() if info.get("chance") is not None}
    counted = [name for name, info in infos.items() if info.get("in_mean")]
    if counted and all(PREFIX + name in chances for name in counted):
        chances[MEAN] = short(sum(infos[name]["chance"] for name in counted) / len(counted))
    units = dict.fromkeys(infos[name].get("called") or ACCURACY for name in counted)
    about = ", ".join(units) or ACCURACY
    mean = Column(MEAN, "mean", "share", f"{about}, mean of {len(counted) or 'all'} tasks")
    columns = [mean] if len(infos) == 1 else [mean, *(column(name, info) for name, info in infos.items())]
    return Start(
        blocks=[{"table": "tasks", "reference": GUESSING} | chances] if chances else [], columns={"tasks": columns}
    )


def column(name: str, info: Mapping[str, Any]) -> Column:
    """The column of one task: a share, unless the run noted another metric."""
    called = str(info.get("called") or "")
    share = info.get("in_mean") or not called
    return Column(
        PREFIX + name, name, "share" if share else "correlation" if called[:8] == "Matthews" else "", called or ACCURACY
    )


def tasks(event: Event) -> list[Block]:
    """Each task in its own unit, and the mean of those that are shares, 0..1."""
    scores = event.get("scores") or {}
    each = {name: short(value) for name, value in scores.items() if name.startswith(PREFIX)}
    return [{"table": "tasks", "edits": scores.get("edits")} | each] if each else []


TASK = Chosen("task")
PANEL = Panel(
    key="tasks",
    place=2,
    title="General abilities",
    protocol="each task in its own unit; the most likely choice counts",
    promise="Can the model still do what it could before?",
    explanation="None of these questions is about an edited fact, so a falling line is a side effect of editing. Each "
    "choice is scored by the probability that the model gives to its text. The dotted line is the unedited model, the "
    "dashed line is chance.",
    equation=formula(
        words("accuracy"),
        "=",
        frac("1", "n"),
        total("i", "[", under("arg max", "c"), row("P", "(", "c", "|", sub("x", "i"), ")", "=", power("c", "*"), "]")),
    ),
    plot=Plot(
        charts=(
            Chart(
                table="tasks",
                kind="line",
                x="edits",
                y=TASK,
                title="",
                x_title="edits so far",
                y_title="",
                rules=(
                    Rule(table="tasks", column=TASK, where={"round": 0}, first=True),
                    Rule(
                        table="tasks",
                        column=TASK,
                        where={"reference": GUESSING},
                        label=f"{GUESSING}: {{}}",
                        unit="share",
                        dash="dash",
                    ),
                ),
            ),
        ),
        choices=(Choice(name="task", label="Task", prefix=PREFIX),),
        figures=(Figure(table="tasks", column=TASK),),
    ),
    columns={"tasks": (LANE, ROUND, EDITS)},
    rows=tasks,
    start=start,
)
