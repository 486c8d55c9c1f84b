"""Outside: is the fact said, do paraphrases follow, do neighbours stay, is the rest still known?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, frac, row, sub, total, words
from lab_app.panels.panel import Panel, Payload, point, short

COLUMNS = (
    "edits",
    "scored",
    "efficacy",
    "paraphrase",
    "neighborhood",
    "efficacy_exact",
    "paraphrase_exact",
    "neighborhood_exact",
    "efficacy_when_edited",
    "efficacy_exact_when_edited",
    "unedited_recall",
    "locality",
    "locality_exact",
    "locality_tokens",
    "locality_kept",
)


def scores(event: Mapping[str, Any]) -> Payload | None:
    """The score columns of one lane and round, shares 0..1; `sure`: 95 % bootstrap intervals."""
    found = event.get("scores") or {}
    row = {name: short(found[name]) for name in COLUMNS if found.get(name) is not None}
    sure = {name: short(ends, 3) for name, ends in (event.get("intervals") or {}).items() if name in COLUMNS}
    return point(event) | row | ({"sure": sure} if sure else {}) if row else None


PANEL = Panel(
    key="scores",
    title="What it says",
    protocol="all facts edited so far, asked now",
    promise="Are the new answers said, also in other words, and do all the others stay?",
    explanation="After each round every fact edited so far is asked again: in its own words (efficacy), in other words "
    "(paraphrase), about its neighbours, whose answers must stay, and about facts that nobody edited. "
    "<em>Probability</em> asks whether the new answer is likelier than the old one, <em>exact</em> whether every "
    "token of it comes first, <em>when edited</em> shows each round right after its own edits; bands are 95 % "
    "bootstrap intervals over the facts asked. Locality is what a dataset asks besides its neighbours, against its own "
    "answer; <em>as before</em> is the share of tokens of all these answers that the unedited model would choose too.",
    equation=formula(
        words("efficacy"),
        "=",
        frac("1", "N"),
        total("i", "[", "P", "(", sub("o", "i"), "|", sub("p", "i"), ")", ">", "P", "(", sub("o", "i,old"), "|")
        + row(sub("p", "i"), ")", "]"),
    ),
    row=scores,
    wide=True,
)
