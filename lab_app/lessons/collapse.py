"""Lesson 2: many edits, one after another. What is lost first, and when?"""

from __future__ import annotations

from typing import Any

from core.charts.formula import formula, sub, total
from core.charts.grammar import Chart
from core.facts.readers.pocket import PocketWorld
from lab_app.lessons.lesson import Events, Lesson, Outcome, Rows, Seen, Slider, crossing, measured, percent, score

LANE = "MEMIT"
EDITS, ROUND, EVERY = 2000, 100, 2
HALF = 0.5
KEPT = 0.9  # of what was there: above it, nothing is called lost
CURVES = (
    ("efficacy_exact", "edited facts"),
    ("neighborhood_exact", "their neighbors"),
    ("unedited_recall", "facts never edited"),
    ("task_mean", "small tasks"),
)
EDITED, NEVER, TASKS = CURVES[0][1], CURVES[2][1], CURVES[3][1]


def spec(seed: int, world: PocketWorld | None) -> dict[str, Any]:
    """Two thousand edits in rounds of a hundred, measured after every second round."""
    return {
        "model": "pocket",
        "facts": {"source": "pocket", "count": EDITS, "seed": seed, "unedited": 200},
        "round_size": ROUND,
        "lanes": [{"method": "memit", "name": LANE}],
        "measure": {"every": EVERY, "tasks": True, "maps": False, "inside": False, "words": 0, "unedited": 200}
        | {"final_sample": 100, "final_words": False},
    }


def seen(events: Events) -> Seen:
    """The curves over the edits, and where each one falls."""
    states = measured(events).get(LANE) or []
    rows = [
        {"table": "curves", "what": name, "edits": score(state, "edits"), "share": score(state, column)}
        for column, name in CURVES
        for state in states
        if score(state, column) is not None and (state["round"] or column not in ("efficacy_exact",))
    ]
    if not states or states[-1]["round"] < 1:
        return Seen([], rows)
    first, last = states[1], states[-1]
    count = int(score(last, "edits") or 0)
    return Seen(
        [early(first), lost(rows, count), spared(rows, count)],
        rows,
        Outcome(100 * kept, f"{percent(kept)} after {count:,} edits")
        if (kept := score(last, "unedited_recall")) is not None
        else None,
    )


def curve(rows: Rows, name: str) -> list[tuple[float, float]]:
    return [(row["edits"], row["share"]) for row in rows if row["what"] == name]


def early(state: Any) -> str:
    """The first measurement after an edit."""
    edits = int(score(state, "edits") or 0)
    return (
        f"After {edits:,} edits {percent(score(state, 'efficacy_exact'))} of them were answered as edited, and "
        f"{percent(score(state, 'unedited_recall'))} of the unedited facts were still known."
    )


def lost(rows: Rows, count: int) -> str:
    """When half of the unedited facts are lost, if they are."""
    never = curve(rows, NEVER)
    half = crossing(never, HALF)
    if half is not None:
        edited = crossing(curve(rows, EDITED), HALF)
        latest = (
            "while more than half of the edited facts were still answered at the end"
            if edited is None
            else f"and half of the edited ones by about {edited:,.0f}"
        )
        return f"Half of the unedited facts were lost by about {half:,.0f} edits, {latest}."
    if never and never[-1][1] < KEPT * never[0][1]:
        return (
            f"After {count:,} edits, recall of unedited facts had fallen from {percent(never[0][1])} to "
            f"{percent(never[-1][1])}: damage, but no collapse in this run."
        )
    known = percent(never[-1][1] if never else None)
    return f"No collapse in this run: after {count:,} edits, {known} of the unedited facts are still known."


def spared(rows: Rows, count: int) -> str:
    """The effect of edits on tasks, and whether tasks fell later than facts."""
    tasks, never = curve(rows, TASKS), curve(rows, NEVER)
    if len(tasks) < 2 or len(never) < 2:
        return "The small tasks were not measured."
    said = f"The small tasks went from {percent(tasks[0][1])} to {percent(tasks[-1][1])}"
    fell = crossing(tasks, KEPT * tasks[0][1])
    before = crossing(never, KEPT * never[0][1])
    if fell is None:
        return f"{said}: {'unlike the facts, they' if before is not None else 'they'} held throughout."
    if before is None:
        return f"{said}: they fell although facts did not."
    order = "later than" if fell > before else "earlier than" if fell < before else "as early as"
    return (
        f"{said}. They lost a tenth by about {fell:,.0f} edits, {order} the unedited facts "
        f"(about {before:,.0f}): a test of abilities alone {'misses' if fell > before else 'shows'} the first damage."
    )


LESSON = Lesson(
    key="collapse",
    place=2,
    title="A hundred edits and collapse",
    short="Collapse",
    question="One or two hundred edits seem harmless. What about two thousand?",
    lead="Each round of edits is solved as if it were the first. It writes its own facts and disturbs the others a "
    "little. Small disturbances add up, and no round's solution takes their sum into account.",
    predict=Slider(
        says="After 2,000 edits, what share of the unedited facts will the model still know?",
        ends=("none of them", "all of them"),
    ),
    does="MEMIT edits 2,000 facts in rounds of 100. After every second round, the model is tested on 100 of the "
    "edited facts, their neighbors, 200 facts that are never edited and eight small tasks.",
    takes="110 s",
    again="with other facts",
    spec=spec,
    seen=seen,
    charts=(
        Chart(
            table="curves",
            kind="line",
            x="edits",
            y="share",
            by="what",
            title="Answers that are still correct",
            x_title="edits so far",
            y_title="share correct",
            unit="share",
        ),
    ),
    series=tuple(zip((name for _, name in CURVES), (1, 4, 2, 3), strict=True)),
    promise="Four curves over 2,000 edits: edited facts, their neighbors, unedited facts, and tasks.",
    protocol="all facts edited so far, tested now (a sample of 100); correct: every token of the answer is the "
    "arg-max; tasks: accuracy of the most likely choice, 25 items each",
    equation=formula(sub("W", "t"), "=", sub("W", "0"), "+", total("s ≤ t", sub("ΔW", "s"))),
    where="W₀ is the unedited weight, ΔW the change of round s. Each ΔW is small by itself; their sum is not.",
    paper="Gupta et al. 2024, Model Editing at Scale leads to Gradual and Catastrophic Forgetting, arXiv 2401.07453",
)
