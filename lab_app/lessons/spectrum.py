"""Lesson 3: which singular directions of the weights do the model's abilities need?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, frac, power, row, sub, total
from core.charts.grammar import Chart
from core.facts.readers.pocket import PocketWorld
from lab_app.lessons.lesson import Events, Lesson, Outcome, Rows, Seen, Slider, Study, listed, percent, studied

LANE = "MEMIT"
CUT = 10.0  # per cent of Σσ: what the prediction is about
ENOUGH = 0.95  # of what the intact model scores
ALL = 99.99  # per cent
KINDS = {"true facts": "true facts", "mean": "eight tasks"}  # as the study names them, and as they are said here
FACTS, TASKS = KINDS.values()
HOW = "input side, equal norm"
GROUPS = 5


def spec(seed: int, world: PocketWorld | None) -> dict[str, Any]:
    """Hardly an edit: what is studied are the unedited weights."""
    return {
        "model": "pocket",
        "facts": {"source": "pocket", "count": 5, "seed": seed, "unedited": 100},
        "round_size": 5,
        "lanes": [{"method": "memit", "name": LANE}],
        "measure": {"tasks": False, "maps": False, "inside": False, "words": 0, "unedited": 20},
        "seed": seed,
    }


def seen(events: Events) -> Seen:
    """How much of the energy is needed, and which fifth of it bears a disturbance worst."""
    rebuilt = [found for found in studied(events, "reconstruction") if known(found)]
    groups = [found for found in studied(events, "perturbation_tasks") if known(found) and found["how"] == HOW]
    rows: Rows = [
        {"table": "kept", "what": KINDS[found["task"]], "percent": found["percent"], "share": found["relative"]}
        for found in rebuilt
    ] + [
        {"table": "hurt", "what": KINDS[found["task"]], "group": ordinal(found["group"]), "share": found["relative"]}
        | {"low": found["low"], "high": found["high"]}
        for found in groups
    ]
    if not rebuilt:
        return Seen([], rows)
    at = {KINDS[found["task"]]: found for found in rebuilt if abs(found["percent"] - CUT) < 1e-6}
    sentences = [kept(at), needed(rebuilt), sensitive(groups)]
    left = at[FACTS]["relative"] if FACTS in at else None
    outcome = None if left is None else Outcome(100 * left, percent(left))
    return Seen([said for said in sentences if said], rows, outcome)


def known(found: Mapping[str, Any]) -> bool:
    """Whether a row of the study is drawn here."""
    return found["task"] in KINDS and found["relative"] is not None


def ordinal(group: int) -> str:
    """The name of a fifth: the first are the strongest directions."""
    return {1: "1 strongest", GROUPS: f"{GROUPS} weakest"}.get(group, str(group))


def kept(at: Mapping[str, Mapping[str, Any]]) -> str:
    """What is left at the cut that the prediction is about."""
    if not at:
        return ""
    directions = percent(next(iter(at.values()))["directions"])
    left = listed([f"{percent(found['relative'])} of the {name}" for name, found in at.items()])
    return (
        f"The strongest directions that hold {CUT:.0f} % of the singular energy, {directions} of all, keep {left}, "
        "measured by what the intact model scores."
    )


def needed(rebuilt: Rows) -> str:
    """The least share of the energy that keeps nearly all, for each kind of question."""
    parts = []
    for task, name in KINDS.items():
        own = sorted((found for found in rebuilt if found["task"] == task), key=lambda found: found["percent"])
        enough = next((found for found in own if found["relative"] >= ENOUGH), None)
        if not own:
            continue
        if enough is None or enough["percent"] > ALL:
            parts.append(f"for {name} no cut that was tried is free")
        else:
            parts.append(f"the {name} need {top(enough['percent'])}")
    return f"To keep {percent(ENOUGH)} of it, {listed(parts)}." if parts else ""


def top(share: float) -> str:
    """A share of the energy, in per cent, in words."""
    return f"the top {share:.0f} %" if share > 0 else "none of these matrices"


def sensitive(groups: Rows) -> str:
    """Which group bears an equally large disturbance worst, if any does clearly."""
    own = [found for found in groups if KINDS[found["task"]] == FACTS] or groups
    if len(own) < 2:
        return ""
    worst, best = min(own, key=lambda row: row["relative"]), max(own, key=lambda row: row["relative"])
    size, what = str(worst.get("size", "")).removeprefix("ε = "), KINDS[worst["task"]]
    asked = (
        "a disturbance as large as the weights" if size == "1" else f"a disturbance of {size} times the weights’ norm"
    )
    if worst["high"] >= best["low"]:
        return (
            f"Where {asked} is put does not show: the groups keep {percent(worst['relative'])} to "
            f"{percent(best['relative'])} of the {what}, and their repetitions overlap."
        )
    where = {1: "the strongest fifth", GROUPS: "the weakest fifth"}
    ends = [where.get(found["group"], f"fifth {found['group']}") for found in (worst, best)]
    return (
        f"It matters where {asked} is put: in {ends[0]} of the energy it leaves {percent(worst['relative'])} of the "
        f"{what}, in {ends[1]} {percent(best['relative'])}."
    )


LESSON = Lesson(
    key="spectrum",
    place=3,
    title="Where abilities live in the spectrum",
    short="The spectrum",
    question="A weight matrix is a sum of strong and weak directions. Which of them carry the model’s abilities?",
    lead="Singular values say how strongly a matrix acts along each of its directions. If abilities live in a few "
    "strong ones, an edit that stays out of these should do less harm: that is the idea behind guards such as "
    "REVIVE.",
    predict=Slider(
        says="Keep only the strongest directions that hold a tenth of the singular energy, in every layer. What "
        "share of the model’s confidence in true facts remains?",
        ends=("none", "all of it"),
    ),
    does="The down-projections of all eight layers are cut to their top 0, 10, … 100 % of singular energy; then "
    "each fifth of the energy is perturbed by the same amount. Each time, the model is tested on 100 true facts and "
    "eight tasks.",
    takes="30 s",
    again="with other perturbations",
    spec=spec,
    study=Study(
        name="decomposition",
        does="truncating and perturbing weights",
        options={"points": 10, "groups": GROUPS, "smallest": 1.0, "sizes": 1, "seeds": 2, "sides": "input"}
        | {"matrices": "all", "items": 25, "facts": 100},
    ),
    seen=seen,
    charts=(
        Chart(
            table="kept",
            kind="line",
            x="percent",
            y="share",
            by="what",
            title="Truncated to the strongest directions",
            x_title="singular energy kept (% of Σσ)",
            y_title="of the intact model’s",
            unit="share",
        ),
        Chart(
            table="hurt",
            kind="bar",
            x="group",
            y="share",
            by="what",
            y_low="low",
            y_high="high",
            title="One fifth of the energy perturbed",
            x_title="which fifth",
            y_title="of the intact model’s",
            unit="share",
        ),
    ),
    series=((FACTS, 2), (TASKS, 1)),
    promise="What remains when weak directions are removed, and when one fifth is perturbed.",
    protocol="no edit; 100 true facts by probability per token, eight tasks by mean accuracy over 25 items each, "
    "both as a share of the intact model’s; bars: mean, minimum and maximum of two random perturbations",
    equation=formula(
        "W",
        "=",
        total("i", sub("σ", "i"), sub("u", "i"), power(sub("v", "i"), "⊤")),
        ",",
        sub("E", "k"),
        "=",
        frac(total(row("i", "≤", "k"), sub("σ", "i")), total("i", sub("σ", "i"))),
    ),
    where="σ₁ ≥ σ₂ ≥ … are the singular values, u and v the directions; E is the share of energy in the first k.",
    paper="REVIVE: Robust Sequential Editing via Dominant Subspace Preservation, arXiv 2601.11042, Figures 2 and 11",
)
