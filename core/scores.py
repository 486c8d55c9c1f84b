"""The scores of a measured round, one declaration each: tables, panels, comparisons and documentation read them here.

A score that `core.measures` computes under a name of this list is a column of `rounds.csv`, a curve of the panel
"Editing scores", a row of a comparison of runs and, if it measures what was preserved, a choice of the
frontier. The order is that of the columns. All scores are shares, 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TEACHER_FORCED = ("probability", "exact", "when edited")
FREE = {  # by the ending of their columns: a protocol of free generation, and how it is measured
    "exact": ("free, exact", "says it, no more"),
    "contains": ("free, contains", "says it within a line"),
}
PROTOCOLS = (*TEACHER_FORCED, *(protocol for protocol, _ in FREE.values()))
FIRST = "every token the arg-max"
NOT_SO = "not measured so"


@dataclass(frozen=True, kw_only=True)
class Score:
    """One column of `rounds.csv`.

    `meaning`: what is counted. `group`: scores of one group share a small chart with the title `title`, each under one
    of `PROTOCOLS`. `drawn`: by protocol, how the number is measured, in a few words. `compared`: its name in the
    comparison of runs ("": it is left out); `curve`: it is also compared over the edits. `kept`: for measures of what
    edits leave alone, a short name and what is counted. `always`: every data set has its questions.
    `asked`: it is measured only where the spec asks for it, and is a column only then.
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
    asked: bool = False
    unit: str = "share"


def in_all(wears: str) -> dict[str, str]:
    """The same number under every teacher-forced protocol."""
    return dict.fromkeys(TEACHER_FORCED, wears)


def free(group: str, what: str, title: str = "", called: str = "") -> tuple[Score, ...]:
    """The scores of one kind of questions by free generation; `called` is what a comparison of runs calls them."""
    rules = {
        "exact": "the first sentence of the greedy answer is right",
        "contains": "a right answer stands in the greedy answer's line",
        "judged": "the judge finds the greedy answer right",
    }
    return tuple(
        Score(
            name=f"{group}_free_{match}",
            meaning=f"{what} for which {rule}",
            group=group,
            title=title,
            drawn={FREE[match][0]: FREE[match][1]} if match in FREE else {},
            compared=f"{called or title}, {FREE[match][0]}" if match in FREE and (called or title) else "",
            always=False,
            asked=True,
        )
        for match, rule in rules.items()
    )


SCORES = (
    Score(
        name="efficacy",
        meaning="edited facts whose new object is more likely than the old one",
        group="efficacy",
        title="Efficacy",
        drawn={"probability": "P(new) > P(old)"},
        compared="Efficacy",
        curve=True,
    ),
    Score(
        name="paraphrase",
        meaning="paraphrases for which the new object is more likely than the old one",
        group="paraphrase",
        title="Paraphrase",
        drawn={"probability": "P(new) > P(old)"},
        compared="Paraphrase",
        curve=True,
    ),
    Score(
        name="neighborhood",
        meaning="neighbors whose own object is more likely than the new one",
        group="neighborhood",
        title="Neighbors",
        drawn={"probability": "P(old) > P(new)"},
        compared="Neighborhood",
        curve=True,
    ),
    Score(
        name="efficacy_exact",
        meaning="edited facts for which every token of the new object is the arg-max",
        group="efficacy",
        drawn={"exact": FIRST},
        compared="Efficacy, exact",
    ),
    Score(
        name="paraphrase_exact",
        meaning="paraphrases for which every token of the new object is the arg-max",
        group="paraphrase",
        drawn={"exact": FIRST},
        compared="Paraphrase, exact",
    ),
    Score(
        name="neighborhood_exact",
        meaning="neighbors for which every token of their own object is the arg-max",
        group="neighborhood",
        drawn={"exact": FIRST},
        compared="Neighborhood, exact",
        kept=("neighbors", "neighbors’ old answers preserved, exact"),
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
        meaning="locality questions whose answer is more likely than the new object",
        group="locality",
        title="Locality",
        drawn={"probability": "P(answer) > P(new)"},
        always=False,
    ),
    Score(
        name="locality_exact",
        meaning="locality questions for which every token of the answer is the arg-max",
        group="locality",
        drawn={"exact": FIRST},
        always=False,
    ),
    Score(name="locality_tokens", meaning="tokens of those answers that are the arg-max", always=False),
    Score(
        name="locality_kept",
        meaning="tokens of answers about neighbors and locality that the unedited model would choose too",
        group="kept",
        title="As before",
        drawn=in_all("same tokens first"),
        always=False,
    ),
    *free("efficacy", "edited facts", called="Efficacy"),
    *free("paraphrase", "paraphrases", called="Paraphrase"),
    *free("neighborhood", "neighbors", called="Neighborhood"),
    *free("locality", "locality questions", called="Locality"),
    *free("portability", "questions that follow from edited facts", "Portability"),
    Score(
        name="unedited_recall",
        meaning="facts that no edit concerns for which every token of the object is the arg-max",
        group="unedited",
        title="Unedited",
        drawn=in_all("exact"),
        compared="Unedited facts, exact",
        curve=True,
        kept=("unedited facts", "unedited facts preserved, exact"),
    ),
    Score(
        name="task_mean",
        meaning="the mean of the tasks that are shares",
        compared="Tasks, mean",
        curve=True,
        kept=("tasks", "mean task accuracy, the most likely choice counts"),
    ),
)
GROUPS = ("efficacy", "paraphrase", "neighborhood", "unedited", "locality", "portability", "kept")  # as on the page
SAID = "efficacy_exact"  # the score at which lanes are compared: exact efficacy
KEPT = "unedited_recall"  # the default measure of what edits leave alone


def names() -> tuple[str, ...]:
    """The names of the columns that every table has, in order."""
    return tuple(score.name for score in SCORES if not score.asked)


def grouped() -> dict[str, list[Score]]:
    """The scores that are drawn, by group, in the order of the page; a group that `GROUPS` lacks comes last."""
    by_group: dict[str, list[Score]] = {group: [] for group in GROUPS}
    for score in SCORES:
        if score.drawn:
            by_group.setdefault(score.group, []).append(score)
    return by_group
