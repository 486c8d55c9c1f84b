"""Lesson 5: R_k measures how far activations moved. When is it large although nothing moved?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.equations import R_K
from core.charts.grammar import Chart
from core.facts.readers.pocket import PocketWorld
from lab_app.lessons.lesson import Events, Lesson, Outcome, Rows, Seen, Slider, Study, percent, short, studied

LANE = "MEMIT"
EDITS = 50
NULL, UNPAIRED, WRONG = "null edit", "other inputs, no edit", "wrong centring"  # as the study names them
EDITED = "round 1"
NAMES = {EDITED: f"{EDITS} edits", UNPAIRED: "no edit, other inputs", WRONG: f"{EDITS} edits, wrong centring"}
TINY = 1e-6  # R_k under it is round-off
TWICE = 2.0


def spec(seed: int, world: PocketWorld | None) -> dict[str, Any]:
    """One round of edits."""
    return {
        "model": "pocket",
        "facts": {"source": "pocket", "count": EDITS, "seed": seed, "unedited": 200},
        "round_size": EDITS,
        "lanes": [{"method": "memit", "name": LANE}],
        "measure": {"tasks": False, "maps": False, "inside": False, "words": 0},
        "seed": seed,
    }


def seen(events: Events) -> Seen:
    """R_k after edits and without any, at the last edited layer."""
    summary, drawn = studied(events, "summary"), studied(events, "r_k")
    if not summary:
        return Seen([], [])
    layer = max(found["layer"] for found in summary)
    found = {row["what"]: row for row in summary if row["layer"] == layer}
    rows: Rows = [
        {"table": "rk", "what": NAMES[point["what"]], "k": point["k"], "rk": point["rk"]}
        for point in drawn
        if point["what"] in NAMES and point["where"] == f"layer {layer}" and (point["rk"] or 0) > TINY
    ]
    sentences = [nothing(found[NULL], layer)] if NULL in found else []
    if UNPAIRED in found and EDITED in found:
        sentences.append(unpaired(found[UNPAIRED], found[EDITED]))
    if WRONG in found and EDITED in found:
        sentences.append(centring(found[WRONG], found[EDITED]))
    outcome = None
    if UNPAIRED in found and found[UNPAIRED]["rk_over_1"] is not None:
        share = found[UNPAIRED]["rk_over_1"]
        outcome = Outcome(100 * share, percent(share))
    return Seen(sentences, rows, outcome)


def nothing(null: Mapping[str, Any], layer: int) -> str:
    """The null edit: the same model, read twice on the same inputs."""
    most = null["rk_max"] or 0.0
    if most <= TINY:
        return f"Read twice without any edit, Rₖ is {short(most)} in every direction of layer {layer}, as it should be."
    return (
        f"Read twice without any edit, Rₖ is not 0 but up to {short(most)} at layer {layer}: on this computer the "
        "same pass does not repeat exactly, and smaller values mean nothing."
    )


def unpaired(other: Mapping[str, Any], edited: Mapping[str, Any]) -> str:
    """The unedited model on other inputs, against a true edit."""
    said = (
        f"With other inputs and no edit at all, the median Rₖ is {short(other['rk_median'])} and "
        f"{percent(other['rk_over_1'])} of the directions lie above 1"
    )
    true = f"{EDITS} edits on the same inputs give {short(edited['rk_median'])} and {percent(edited['rk_over_1'])}"
    if other["rk_over_1"] > edited["rk_over_1"] and other["rk_median"] > edited["rk_median"]:
        return f"{said}; {true}. Unpaired inputs alone make an Rₖ near 1, larger than that of true edits."
    return f"{said}; {true}. Here the edits move the states further than that: the mistake would not hide them."


def centring(wrong: Mapping[str, Any], edited: Mapping[str, Any]) -> str:
    """Each sample centred over its features, instead of each feature over the samples."""
    ratio = wrong["rk_max"] / edited["rk_max"] if edited["rk_max"] and wrong["rk_max"] is not None else None
    if ratio is None or ratio < TWICE:
        return (
            "Centring each sample over its features instead of each feature over the samples changed little here: the "
            f"largest Rₖ is {short(wrong['rk_max'] or 0.0)} instead of {short(edited['rk_max'] or 0.0)}."
        )
    return (
        "Centring each sample over its features instead of each feature over the samples leaves one direction without "
        f"spread: its Rₖ becomes {short(wrong['rk_max'])} instead of at most {short(edited['rk_max'])}, "
        f"{percent(wrong['rk_top_share'])} of the sum over all directions, so that a mean says nothing."
    )


LESSON = Lesson(
    key="misleading",
    place=5,
    title="Why Rₖ can mislead",
    short="Rₖ",
    question="Rₖ measures how far activations moved, in units of their own spread. When is it large although nothing "
    "moved?",
    lead="Rₖ above 1 is read as “the edit moved activations outside their natural range”. That holds only if both "
    "readings use the same inputs, and if the spread is measured around the correct mean.",
    predict=Slider(
        says="The model is not edited at all, but the second reading uses other inputs. For what share of the "
        "directions will Rₖ be above 1?",
        ends=("none", "all"),
    ),
    does="MEMIT edits 50 facts. Then Rₖ is measured four ways at the edited layers: after the edits; without an edit "
    "on the same inputs; without an edit on other inputs; after the edits with wrong centring.",
    takes="10 s",
    again="with other facts",
    spec=spec,
    study=Study(name="stability", does="reading activations four ways"),
    seen=seen,
    charts=(
        Chart(
            table="rk",
            kind="line",
            x="k",
            y="rk",
            by="what",
            title="Rₖ by direction, last edited layer",
            x_title="principal direction k, strongest first",
            y_title="Rₖ",
            log_x=True,
            log_y=True,
            line=1.0,
            line_label="its own spread",
        ),
    ),
    series=((NAMES[EDITED], 1), (NAMES[UNPAIRED], 0), (NAMES[WRONG], 4)),
    promise="Rₖ along every direction: after edits, without an edit on other inputs, and with wrong centring.",
    protocol="states of at least 1,024 tokens at the down-projection’s output; factorised in float64, centred per "
    "feature but where it says wrong; a null edit of exactly 0 has no place on this axis",
    equation=R_K,
    where="Δh is the change of one of n states, u the k-th principal direction of the unedited states and σ the size "
    "of their spread along it.",
    paper="Ren et al., Revisiting Parameter-Based Knowledge Editing in Large Language Models: Theoretical Limits and "
    "Empirical Evidence",
)
