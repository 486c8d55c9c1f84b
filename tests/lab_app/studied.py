"""What a study might have found, for tests of the page: every kind of chart, from closed formulas."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from core.charts.grammar import Chart
from core.measures.study.result import StudyResult
from core.runs.store.study_queue import StudyState

T = TypeVar("T")
KINDS, SENSES = ("edit", "paraphrase"), ("probability", "exact")
MARKUP = "<img src=x onerror=window.pwned=1>"
CHARTS = [
    Chart(
        table="curves",
        kind="line",
        x="round",
        y="value",
        by="sense",
        facet="kind",
        y_low="low",
        y_high="high",
        title="Two senses",
        x_title="after round",
        y_title="mean over facts (share)",
        unit="share",
        line=0.5,
        line_label="guessing",
    ),
    Chart(table="grid", kind="heat", x="j", y="i", z="rho", title="A grid", x_title="j", y_title="i"),
    Chart(
        table="bars",
        kind="bar",
        x="block",
        y="share",
        title="Bars",
        x_title="block",
        y_title="share of ‖ΔW‖²",
        unit="share",
    ),
    Chart(
        table="points",
        kind="scatter",
        x="x",
        y="y",
        by="state",
        text="subject",
        title="Points",
        x_title="first",
        y_title="second",
    ),
    Chart(
        table="curves", kind="line", x="round", y="value", title="Logarithms", x_title="", y_title="value", log_y=True
    ),
    Chart(table="empty", kind="line", x="round", y="value", title="Nothing", x_title="", y_title="value"),
]


def studied(state: StudyState, lanes: list[str]) -> dict[str, Any]:
    """As `core.runs.opened.study.study` returns it."""
    asked = state.asked
    rounds = [0, 2, 4] if asked.rounds in ("all", "last") else [int(part) for part in asked.rounds.split(",")]
    chosen = asked.lanes or lanes
    tables: dict[str, list[dict[str, Any]]] = {"curves": [], "grid": [], "bars": [], "points": [], "empty": []}
    for place, lane in enumerate(chosen):
        for number in rounds:
            for kind in KINDS:
                for sense in SENSES:
                    value = 1 / (1 + 0.2 * number * (1 + place)) - 0.1 * (sense == "exact")
                    row = {"lane": lane, "round": number, "kind": kind, "sense": sense, "value": value}
                    tables["curves"].append(row | {"low": value - 0.05, "high": value + 0.05})
            tables["bars"].append({"lane": lane, "block": f"block {number} → output", "share": 0.1 + 0.1 * number})
        tables["grid"] += [
            {"lane": lane, "i": i, "j": j, "rho": math.sin(i + j + place)} for i in range(6) for j in range(8)
        ]
        tables["points"] += [
            {"lane": lane, "x": math.cos(i) * (1 + place), "y": math.sin(i), "state": "now", "subject": MARKUP}
            for i in range(20)
        ]
    found = StudyResult(
        tables=tables,
        charts=CHARTS,
        protocol="From closed formulas.",
        notes=[f"{MARKUP} was left out"],
        empty={"empty": f"{MARKUP} is not there"},
    )
    why = found.as_dict()["empty"]
    return found.as_dict() | {
        "empty": [{"table": name, "lane": lane, "why": why[name]} for name in why for lane in chosen],
        "study": asked.name,
        "title": "A study",
        "question": "What is there to see?",
        "source": "This test",
        "options": asked.options,
        "lanes": chosen,
        "rounds": {lane: rounds for lane in chosen},
        "model": {"reference": "pocket"},
        "seconds": 1.5,
    }


def lens_at(round_: int) -> list[dict[str, Any]]:
    """The logit lens of a fact in a model of three layers."""
    new, old = [0.0, 0.1, 0.2 * round_], [0.1, 0.9 - 0.2 * round_, 0.25]
    first = {"target_first": [False, False, round_ > 2], "truth_first": [False, round_ == 0, False]}
    says = ["the", "Paris", "Lyon" if round_ else MARKUP]
    lens = {"target": new, "truth": old, **first, "says": says}
    return [{"place": "subject’s last token", "token": MARKUP, **lens}, {"place": "last token", "token": " is", **lens}]


def carded(payload: dict[str, Any]) -> dict[str, Any]:
    """What a worker answers about a fact, as `core.runs.opened.fact_card.fact_card` does."""
    fact, unedited = payload["fact"], payload["unedited"]
    asked = [
        ("edit", "The capital of France is"),
        ("paraphrase", "France, whose capital is"),
        ("neighbor", "A city is"),
    ]
    rounds = (0, 2, 4)
    layers = [{"layer": 3, "norm": 2.0, "raw": 4.0, "weight": 16.0, "removed": 0.75, "hash": "0" * 16, "same": True}]
    return {
        "lane": payload["lane"],
        "index": fact,
        "unedited": unedited,
        "fact": {"subject": MARKUP, "prompt": "The capital of {} is", "target": "Lyon", "truth": "Paris"}
        | {"relation": "capital", "id": f"fact {fact}", "source": "typed"},
        "edited_in": None if unedited else 2,
        "questions": [{"kind": kind, "prompt": text, "target": "Lyon", "truth": "Paris"} for kind, text in asked],
        "rounds": [
            {"round": n, "target": [0.2 * n] * 3, "truth": [1 - 0.2 * n, None, 0.5], "exact": [n > 2, False, True]}
            for n in rounds
        ],
        "lens": [{"round": n, "places": lens_at(n)} for n in (0, 4)],
        "proof": None if unedited else {"round": 2, "layers": layers},
        "seconds": 0.1,
    }
