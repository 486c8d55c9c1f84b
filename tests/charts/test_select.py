"""Which rows, series and numbers a plot comes to, on tables small enough to see through."""

from core.charts.grammar import Chart, Choice, Chosen, Figure, Plot, Reference, Rule
from core.charts.select import Data, View, cells, numbers, options, picks
from core.charts.table import Column

ROWS = [
    {"lane": lane, "round": number, "edits": 10 * number, "layer": layer, "ls": 1 - 0.1 * number - 0.01 * layer}
    | {"ss": 0.5 * number + place, "share": 0.25 * number}
    for number in (0, 1, 2)
    for place, lane in enumerate(("a", "b"))
    for layer in (3, 4)
]
CONTROL = [
    {"reference": "null edit", "layer": layer, "edits": edits, "ls": 0.0} for layer in (3, 4) for edits in (0, 20)
]
DATA = Data(
    {
        "layers": CONTROL + ROWS,
        "families": [{"family": "τ", "lane": "b", "value": 2}, {"family": "τ", "lane": "a", "value": 1}],
    },
    {"layers": (Column("ls", "LS", "cosine"), Column("share", "what is left", "share", "of all"))},
    ("a", "b"),
)
CHART = dict(table="layers", x="edits", title="", x_title="", y_title="")
LAST = View()
LAYER = Choice(name="layer", label="Layer", column="layer", shared=True)
MEASURE = Choice(name="measure", label="Measure", options=(("ls", "LS"), ("ss", "SS")))


def drawn(chart, view=LAST, choices=(LAYER,)):
    return cells(Plot(charts=(chart,), choices=choices), DATA, view)


def points(series, x="edits"):
    return [(row[x], row[series.y]) for row in series.rows]


def test_a_line_goes_through_the_rows_of_its_lane_and_layer():
    (cell,) = drawn(Chart(kind="line", y="ls", **CHART))
    assert [series.lane for series in cell.series] == ["a", "b"]
    assert points(cell.series[0]) == [(0, 0.96), (10, 0.86), (20, 0.76)]  # of the last layer
    (cell,) = drawn(Chart(kind="line", y="ls", **CHART), View(lanes=("b",), picks={"layer": 3}))
    assert [series.lane for series in cell.series] == ["b"]
    assert points(cell.series[0])[1] == (10, 0.87)


def test_only_the_round_that_is_looked_at():
    chart = Chart(kind="line", y="ls", at_round=True, references=(Reference(name="null edit", dash="dot"),), **CHART)
    (cell,) = drawn(chart, View(round=1))
    control, *lanes = cell.series
    assert control.reference.name == "null edit"
    assert len(control.rows) == 2  # of one layer, whatever the round
    assert [points(series) for series in lanes] == [[(10, 0.86)], [(10, 0.86)]]
    (cell,) = drawn(chart)
    assert points(cell.series[1]) == [(20, 0.76)]


def test_an_option_may_need_a_column_with_values():
    choice = Choice(name="m", label="m", options=(("ls", "LS"), ("ss", "SS")), needs={"ss": "ss"})
    plot = Plot(charts=(Chart(kind="line", y="ls", **CHART),), choices=(choice,))
    rows = [{"lane": "a", "edits": 0, "ls": 1.0, "ss": None}]
    assert options(choice, plot, Data({"layers": rows}, {}, ("a",))) == [("ls", "LS")]
    rows.append({"lane": "a", "edits": 1, "ls": 1.0, "ss": 0.0})
    assert options(choice, plot, Data({"layers": rows}, {}, ("a",))) == [("ls", "LS"), ("ss", "SS")]


def test_a_choice_changes_the_column():
    chart = Chart(kind="line", y=Chosen("measure", {"ls": "ls", "ss": "ss"}), y_also="share", **CHART)
    plot = Plot(charts=(chart,), choices=(MEASURE, LAYER))
    (cell,) = cells(plot, DATA, View(picks={"measure": "ss"}))
    assert [(series.lane, series.y, series.also) for series in cell.series][:2] == [
        ("a", "ss", False),
        ("a", "share", True),
    ]
    assert picks(plot, DATA, View(picks={"measure": "nothing", "layer": 9})) == {"measure": "ls", "layer": 4}
    assert options(LAYER, plot, DATA) == [(3, "layer 3"), (4, "layer 4")]
    empty = Chart(kind="line", y=Chosen("measure", {"ls": "ls"}), **CHART)
    (cell,) = cells(Plot(charts=(empty,), choices=(MEASURE,)), DATA, View(picks={"measure": "ss"}))
    assert cell.series == []


def test_series_and_facets():
    chart = Chart(kind="line", y="ls", by="layer", facet="round", **CHART)
    found = drawn(chart, choices=())
    assert [(cell.facet, cell.lanes) for cell in found] == [(n, (lane,)) for n in (0, 1, 2) for lane in ("a", "b")]
    assert [series.by for series in found[0].series] == [3, 4]
    assert points(found[-1].series[1]) == [(20, 0.76)]


def test_reference_lines():
    rules = (
        Rule(value=1.0),
        Rule(table="layers", column="ls", where={"round": 0}, label="before: {}", unit="share"),
        Rule(axis="x", table="layers", column="edits", by_lane=True),
    )
    (cell,) = drawn(Chart(kind="line", y="ls", line=0.5, line_label="half", rules=rules, **CHART), View(round=1))
    told = [(line.rule.axis, line.value, line.label, line.lane) for line in cell.lines]
    assert told[:3] == [("y", 0.5, "half", None), ("y", 1.0, "", None), ("y", 0.96, "before: 96.0 %", None)]
    assert told[3:] == [("x", 0, "", None), ("x", 20, "", None), ("x", 10, "", "a"), ("x", 10, "", "b")]


def test_a_path_begins_after_round_0_and_families_are_joined():
    (cell,) = drawn(Chart(kind="path", y="ls", through="families", **CHART), View(round=1))
    family, first, second = cell.series
    assert family.family == "τ"
    assert [(row["lane"], row["round"]) for row in family.rows] == [("b", 1), ("a", 1)]
    assert [row["round"] for row in first.rows] == [1, 2]
    assert second.lane == "b"


def test_numbers_are_those_of_the_round_with_their_unit():
    plot = Plot(
        charts=(Chart(kind="line", y="ls", **CHART),),
        choices=(LAYER,),
        figures=(
            Figure(table="layers", column="share"),
            Figure(title="k at {}", table="layers", column="layer", fill="round", once=True),
            Figure(table="layers", column="nothing", optional=True),
        ),
    )
    share, rank = numbers(plot, DATA, View(round=1))
    assert (share.title, share.unit, share.wears) == ("what is left", "share", "of all")
    assert share.values == [("a", 0.25, "25"), ("b", 0.25, "25")]
    assert (rank.title, rank.values) == ("k at 1", [(None, 4, "4.00")])
    last, _ = numbers(plot, DATA, View(lanes=("b",)))
    assert last.values == [("b", 0.5, "50")]
