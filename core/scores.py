"""The scores of a measured round, one declaration each: tables, panels, comparisons and documentation read them here.

A score that `core.measures` computes under a name of this list is a column of `rounds.csv`, a curve of the panel "What
it says", a row of a comparison of runs and, if it has `kept`, a choice of the frontier. The order is that of the
columns. All scores are shares, 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PROTOCOLS = ("probability", "exact", "when edited")
FIRST = "every token first"
NOT_SO = "not measured so"


@dataclass(frozen=True, kw_only=True)
class Score:
    """One column of `rounds.csv`.

    `meaning`: what is counted. `group`: scores of one group share a small chart with the title `title`, each under one
    of `PROTOCOLS`. `drawn`: by protocol, how the number is measured, in a few words. `compared`: its name in the
    comparison of runs ("": it is left out); `curve`: it is also compared over the edits. `kept`: for measures of what
    edits leave alone, a short name and what is counted. `always`: every data set has its questions.
    """

    name: str
    meaning: str
    group: str = ""
    title: str = ""
    drawn: Mapping[str, str] = field(default_factory=dict)
    compared: str = ""
    curve: bool = False
    kept: tuple[str, str] | None = None
    always: bool = True
    unit: str = "share"


def in_all(wears: str) -> dict[str, str]:
    """The same number under every protocol."""
    return dict.fromkeys(PROTOCOLS, wears)


SCORES = (
    Score(
        name="efficacy",
        meaning="edited facts whose new object is likelier than the old one",
        group="efficacy",
        title="Efficacy",
        drawn={"probability": "P(new) > P(old)"},
        compared="Efficacy",
        curve=True,
    ),
    Score(
        name="paraphrase",
        meaning="paraphrases at which the new object is likelier than the old one",
        group="paraphrase",
        title="Paraphrase",
        drawn={"probability": "P(new) > P(old)"},
        compared="Paraphrase",
        curve=True,
    ),
    Score(
        name="neighborhood",
        meaning="neighbors whose own object is likelier than the new one",
        group="neighborhood",
        title="Neighbors",
        drawn={"probability": "P(old) > P(new)"},
        compared="Neighborhood",
        curve=True,
    ),
    Score(
        name="efficacy_exact",
        meaning="edited facts of whose new object every token is the likeliest one",
        group="efficacy",
        drawn={"exact": FIRST},
        compared="Efficacy, exact",
    ),
    Score(
        name="paraphrase_exact",
        meaning="paraphrases at which every token of the new object is the likeliest one",
        group="paraphrase",
        drawn={"exact": FIRST},
        compared="Paraphrase, exact",
    ),
    Score(
        name="neighborhood_exact",
        meaning="neighbors of whose own object every token is the likeliest one",
        group="neighborhood",
        drawn={"exact": FIRST},
        compared="Neighborhood, exact",
        kept=("neighbors", "neighbors’ old answers still said, exact"),
    ),
    Score(
        name="efficacy_when_edited",
        meaning="efficacy of each round's facts right after it, the mean over rounds",
        group="efficacy",
        drawn={"when edited": "right after its round"},
        compared="Efficacy when edited",
    ),
    Score(
        name="efficacy_exact_when_edited",
        meaning="exact efficacy of each round's facts right after it, the mean over rounds",
    ),
    Score(
        name="locality",
        meaning="locality questions whose answer is likelier than the new object",
        group="locality",
        title="Locality",
        drawn={"probability": "P(answer) > P(new)"},
        always=False,
    ),
    Score(
        name="locality_exact",
        meaning="locality questions of whose answer every token is the likeliest one",
        group="locality",
        drawn={"exact": FIRST},
        always=False,
    ),
    Score(name="locality_tokens", meaning="tokens of those answers that are the likeliest one", always=False),
    Score(
        name="locality_kept",
        meaning="tokens of answers about neighbors and locality that the unedited model would choose too",
        group="kept",
        title="As before",
        drawn=in_all("same tokens first"),
        always=False,
    ),
    Score(
        name="unedited_recall",
        meaning="facts that no edit concerns of whose object every token is the likeliest one",
        group="unedited",
        title="Unedited facts",
        drawn=in_all("exact"),
        compared="Unedited facts, exact",
        curve=True,
        kept=("unedited facts", "unedited facts still said, exact"),
    ),
    Score(
        name="task_mean",
        meaning="the mean of the tasks that are shares",
        compared="Tasks, mean",
        curve=True,
        kept=("tasks", "mean task accuracy, the likeliest choice counts"),
    ),
)
GROUPS = ("efficacy", "paraphrase", "neighborhood", "unedited", "locality", "kept")  # in the order of the page
SAID = "efficacy_exact"  # the score at which lanes are compared: exact efficacy
KEPT = "unedited_recall"  # the default measure of what edits leave alone


def names() -> tuple[str, ...]:
    """The names of the columns, in order."""
    return tuple(score.name for score in SCORES)


def grouped() -> dict[str, list[Score]]:
    """The scores that are drawn, by group, in the order of the page; a group that `GROUPS` lacks comes last."""
    by_group: dict[str, list[Score]] = {group: [] for group in GROUPS}
    for score in SCORES:
        if score.drawn:
            by_group.setdefault(score.group, []).append(score)
    return by_group
