"""Lesson 4: a guard makes updates smaller. Is it the direction that helps, or only the size?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.equations import GUARD
from core.charts.grammar import Chart
from core.facts.readers.pocket import PocketWorld
from lab_app.lessons.lesson import (
    Choice,
    Events,
    Interval,
    Lesson,
    Outcome,
    Seen,
    bars,
    clearly,
    interval,
    percent,
    points,
    score,
    together,
)

FACTOR = 0.8  # says about as much as REVIVE at 0.1 (another seed: 1.00 of 200 edits, REVIVE .985)
PLAIN, GUARDED, STRICT, SMALLER = "MEMIT", "REVIVE τ = 0.1", "REVIVE τ = 0.2", f"only smaller, × {FACTOR}"
LANES = (PLAIN, GUARDED, STRICT, SMALLER)
EDITS, ROUND, EVERY = 1200, 100, 6
ASIDE = 400  # facts that are never edited: recipes differ by little, so many are asked
KEPT, SAID = "unedited_recall", "efficacy_exact"
ASKED = ((SAID, "edited facts, said"), ("neighborhood", "their neighbors"), (KEPT, "facts never edited"))


def spec(seed: int, world: PocketWorld | None) -> dict[str, Any]:
    """The same facts under four recipes; the last is plain MEMIT with every update multiplied by one number."""
    revive = [{"name": "revive", "tau": 0.1}], [{"name": "revive", "tau": 0.2}]
    memit = {"method": "memit", "contexts": 0}  # half the time of an edit is that of its prefixes
    return {
        "model": "pocket",
        "facts": {"source": "pocket", "count": EDITS, "seed": seed, "unedited": ASIDE},
        "round_size": ROUND,
        "lanes": [
            {**memit, "name": PLAIN},
            {**memit, "guards": revive[0], "name": GUARDED},
            {**memit, "guards": revive[1], "name": STRICT},
            {**memit, "guards": [{"name": "shrink", "factor": FACTOR}], "name": SMALLER},
        ],
        "measure": {"every": EVERY, "tasks": False, "maps": False, "words": 0, "unedited": ASIDE}
        | {"inside": False, "final_sample": 200, "final_words": False},
    }


def seen(events: Events) -> Seen:
    """What each recipe preserves after the same edits, and whether the guard gains more than smaller updates."""
    last = together(events, LANES)
    rows = bars("kept", last, ASKED)
    if not last:
        return Seen([], rows)
    kept, said = (
        {lane: value for lane in LANES if (value := interval(last[lane], name)) is not None} for name in (KEPT, SAID)
    )
    if not len(kept) == len(said) == len(LANES):
        return Seen([], rows)
    edits = int(score(last[PLAIN], "edits") or 0)
    key, says = verdict(kept, said)
    return Seen([gained(kept, edits), why(key, kept, said), dial(kept, said)], rows, Outcome(key, says))


def verdict(kept: Mapping[str, Interval], said: Mapping[str, Interval]) -> tuple[str | None, str]:
    """Direction, size, or no gain, as in the prediction; None if the numbers do not decide."""
    gain, over = clearly(kept[GUARDED], kept[PLAIN]), clearly(kept[GUARDED], kept[SMALLER])
    if gain <= 0:
        return "neither", "the guard kept no more than plain MEMIT"
    says = clearly(said[SMALLER], said[GUARDED])
    if over > 0 and says <= 0:
        return "direction", "the guard kept more than smaller updates do"
    if over <= 0 and says >= 0 and clearly(kept[SMALLER], kept[PLAIN]) > 0:
        return "size", "smaller updates kept as much as the guard"
    return None, "between the two: too close to tell"


def gained(kept: Mapping[str, Interval], edits: int) -> str:
    """The guard against plain MEMIT."""
    guarded, plain = kept[GUARDED], kept[PLAIN]
    both = (
        f"After {edits:,} edits MEMIT still knows {percent(plain[0])} of the unedited facts, with REVIVE at "
        f"τ = 0.1 {percent(guarded[0])}"
    )
    how = clearly(guarded, plain)
    if how > 0:
        return f"{both}: {points(guarded[0] - plain[0])} more, beyond what chance explains."
    if how < 0:
        return f"{both}: the guard kept less."
    return f"{both}: a difference that chance explains."


def why(key: str | None, kept: Mapping[str, Interval], said: Mapping[str, Interval]) -> str:
    """Against updates that are only smaller."""
    smaller = (
        f"Plain updates times {FACTOR} keep {percent(kept[SMALLER][0])}, and {percent(said[SMALLER][0])} of the edits "
        f"are said, against {percent(said[GUARDED][0])} under the guard"
    )
    return {
        "direction": f"{smaller}: here it is the direction that helps, more than the size.",
        "size": f"{smaller}: as much, within chance. Here it is the smaller size that explains the gain.",
        "neither": f"{smaller}. The guard gained nothing that the direction could explain.",
        None: f"{smaller}: that does not decide it. More facts, or another factor, may tell.",
    }[key]


def dial(kept: Mapping[str, Interval], said: Mapping[str, Interval]) -> str:
    """The gain and the cost of a larger τ."""
    how = {1: "more", 0: "as much, within chance", -1: "less"}[clearly(kept[STRICT], kept[GUARDED])]
    cost = clearly(said[STRICT], said[GUARDED])
    price = {-1: "at a price", 0: "at no price that shows", 1: "and they are said even more often"}[cost]
    return (
        f"τ = 0.2 protects more directions and keeps {how} ({percent(kept[STRICT][0])}), {price}: "
        f"{percent(said[STRICT][0])} of the edited facts are said, against {percent(said[GUARDED][0])}."
    )


LESSON = Lesson(
    key="guard",
    place=4,
    title="The guard and τ",
    short="The guard and τ",
    question="A guard removes a part of every update. Does the direction help, or only the smaller size?",
    lead="REVIVE removes from each update what touches the strongest directions of the unedited weight: as many as "
    "hold the share τ of its singular energy. The remaining update is also smaller. The control is therefore the "
    "plain update multiplied by one number.",
    predict=Choice(
        says="After 1,200 edits, which recipe preserves more of the unedited facts?",
        options=(
            ("direction", "The guard preserves more than smaller updates: direction matters"),
            ("size", "Smaller updates preserve as much as the guard: size matters"),
            ("neither", "The guard preserves no more than plain MEMIT: neither helps"),
        ),
    ),
    does="The same 1,200 facts, in the same order, under four recipes: MEMIT, REVIVE at τ = 0.1 and at 0.2, and MEMIT "
    f"with every update multiplied by {FACTOR}. To save time, values are sought without sampled prefixes.",
    takes="85 s",
    again="with other facts",
    spec=spec,
    seen=seen,
    charts=(
        Chart(
            table="kept",
            kind="bar",
            x="what",
            y="share",
            by="lane",
            y_low="low",
            y_high="high",
            text="text",
            title="After the last round that all four completed",
            x_title="",
            y_title="share correct",
            unit="share",
        ),
    ),
    series=tuple(zip(LANES, (1, 2, 3, 0), strict=True)),
    promise="Three groups of bars: edited facts, their neighbors, and unedited facts, under four recipes.",
    protocol="all facts edited so far, tested now; edited and unedited facts: every token is the arg-max; "
    "neighbors: the old answer is more likely than the new one; whiskers: 95 % bootstrap over facts",
    equation=GUARD,
    where="U and V are the first k singular vectors of the unedited weight on its two sides; τ sets k. The control "
    f"multiplies ΔW by {FACTOR} instead.",
    paper="REVIVE: Robust Sequential Editing via Dominant Subspace Preservation, arXiv 2601.11042, Equation 6",
)
