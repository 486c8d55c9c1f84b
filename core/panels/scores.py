"""Outside: efficacy, paraphrases, neighborhood, and facts that were never edited."""

from __future__ import annotations

from core.charts.formula import formula, frac, row, sub, total, words
from core.charts.grammar import Chart, Choice, Chosen, Figure, Plot
from core.charts.panel import Event, Panel
from core.charts.table import EDITS, LANE, ROUND, Block, Column, short
from core.scores import FREE, NOT_SO, PROTOCOLS, SCORES, Score, grouped

COUNTS = (EDITS, Column("scored", "facts asked", "count"))
ASKED = [score for score in SCORES if not score.name.startswith("task_")]
COLUMNS = tuple(Column(score.name, score.title or score.name, score.unit, score.meaning) for score in ASKED)
ENDS = ("low", "high")


def scores(event: Event) -> list[Block]:
    """The scores of one lane and round, shares 0..1, and the ends of their 95 % intervals."""
    values = event.get("scores") or {}
    known = [column.name for column in (*COUNTS, *COLUMNS) if values.get(column.name) is not None]
    block = {name: short(values[name]) for name in known}
    for name, ends in (event.get("intervals") or {}).items():
        if name in block:
            block |= {f"{name}_{end}": short(value, 3) for end, value in zip(ENDS, ends, strict=True)}
    return [{"table": "scores"} | block] if block else []


def by_protocol(group: list[Score]) -> dict[str, str]:
    """The column of each protocol, of the scores that share a chart."""
    return {protocol: score.name for score in group for protocol in score.drawn}


def chart(group: list[Score]) -> Chart:
    """The small chart of one group of scores."""
    column = by_protocol(group)
    low, high = ({protocol: f"{name}_{end}" for protocol, name in column.items()} for end in ENDS)
    return Chart(
        table="scores",
        kind="line",
        x="edits",
        y=Chosen("protocol", column),
        y_low=Chosen("protocol", low),
        y_high=Chosen("protocol", high),
        title=group[0].title,
        x_title="edits so far",
        y_title="",
        unit="share",
        optional=not any(score.always for score in group),
    )


def figure(group: list[Score]) -> Figure:
    """The number above it."""
    wears = {protocol: says for score in group for protocol, says in score.drawn.items()}
    return Figure(
        title=group[0].title,
        table="scores",
        column=Chosen("protocol", by_protocol(group)),
        wears=Chosen("protocol", dict.fromkeys(PROTOCOLS, NOT_SO) | wears),
        of="scored",
        optional=not any(score.always for score in group),
    )


PANEL = Panel(
    key="scores",
    place=1,
    title="Editing scores",
    protocol="all facts edited so far, asked now",
    promise="Does the model give the new answers, also to paraphrases, and do all other answers stay?",
    explanation="After each round, every fact edited so far is tested again: with its own prompt (efficacy), with "
    "paraphrases, with neighborhood prompts, whose answers must stay, and with facts that were never edited. "
    "<em>Probability</em>: the new answer is more likely than the old one. <em>Exact</em>: every token of it is the "
    "arg-max. <em>When edited</em>: each round right after its own edits. Bands are 95 % intervals over the facts "
    "tested, by bootstrap, or Wilson's where all or none succeed. <em>Free</em>, where a run measures it: the model "
    "answers by itself, no token given; exact, the answer is right and says no more; contains, a right answer stands "
    "in its first line. Locality is a dataset's further prompts, tested against its own answers; <em>as before</em> is "
    "the share of tokens of all these answers that the unedited model would choose too.",
    equation=formula(
        words("efficacy"),
        "=",
        frac("1", "N"),
        total("i", "[", "P", "(", sub("o", "i"), "|", sub("p", "i"), ")", ">", "P", "(", sub("o", "i,old"), "|")
        + row(sub("p", "i"), ")", "]"),
    ),
    plot=Plot(
        charts=tuple(chart(group) for group in grouped().values()),
        choices=(
            Choice(
                name="protocol",
                label="Protocol",
                options=tuple((name, name) for name in PROTOCOLS),
                needs={protocol: f"efficacy_free_{match}" for match, (protocol, _) in FREE.items()},
            ),
        ),
        figures=tuple(figure(group) for group in grouped().values()),
        side_by_side=True,
    ),
    columns={"scores": (LANE, ROUND, *COUNTS, *COLUMNS)},
    rows=scores,
    wide=True,
)
