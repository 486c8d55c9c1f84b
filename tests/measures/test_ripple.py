from core.facts.fact import Fact
from core.measures.studies.ripple.ties import Edits, counted, relation, ripples


def true(subject, prompt, answer, relation=None):
    return Fact(subject=subject, prompt=prompt, target=answer, relation=relation)


EDITED = [
    Fact(subject="France", prompt="The capital of {} is", target="Lyon", truth="Paris", relation="capital"),
    Fact(subject="Ada", prompt="{} speaks", target="German", truth="Greek"),
]
UNEDITED = [
    true("Ada", "{} works as a", "baker", "job"),  # same subject
    true("Italy", "The capital city of {} is called", "Rome", "capital"),  # same relation, in other words
    true("Seine", "The {} flows through", "Paris", "river"),  # an edit's old object
    true("Rhône", "The {} flows through", "LYON", "river"),  # an edit's new object, in other letters
    true("Tom", "{} speaks", "German"),  # same relation by its prompt, and same object
    true("Oslo", "{} lies in", "Norway", "country"),  # nothing
]


def test_ties():
    edits = Edits.of(EDITED)
    assert [list(edits.ties(fact)) for fact in UNEDITED] == [
        ["same subject"], ["same relation"], ["same object"], ["same object"], ["same object", "same relation"], [],
    ]  # fmt: skip
    assert edits.ties(UNEDITED[3])["same object"] is EDITED[0]
    assert relation(UNEDITED[0]) == "job"
    assert list(Edits.of([]).ties(UNEDITED[0])) == []


def test_ripples_and_their_counts_by_hand():
    before = [[1], [2], [3, 4], [5], [6], [7]]
    after = [[1], [9], [3, 8], [5], [6, 6], []]
    texts = [(f" {fact.target}", f" {fact.target}") for fact in UNEDITED]
    texts[1] = (" Rome", " Turin")
    texts[2] = (" Pau", " Paris.")
    texts[5] = (" Norway", "")
    rows = ripples(UNEDITED, before, after, texts, Edits.of(EDITED))
    assert [row["changed"] for row in rows] == [False, True, True, False, True, True]
    assert rows[1] == {
        "fact": 1, "prompt": "The capital city of Italy is called", "object": "Rome", "before": "Rome",
        "after": "Turin", "changed": True, "was_right": True, "is_right": False, "ties": ("same relation",),
        "edit": "The capital of France is Lyon",
    }  # fmt: skip
    assert rows[5]["ties"] == ("unrelated",)
    assert rows[5]["edit"] == ""
    table = {
        row["tie"]: (row["facts"], row["changed"], row["share"], row["lost"], row["gained"]) for row in counted(rows)
    }
    assert table == {
        "same subject": (1, 0, 0.0, 0, 0),
        "same object": (3, 2, 2 / 3, 0, 1),
        "same relation": (2, 2, 1.0, 1, 0),
        "unrelated": (1, 1, 1.0, 1, 0),
        "all": (6, 4, 4 / 6, 2, 1),
    }
    assert all(row["low"] <= row["share"] <= row["high"] for row in counted(rows))
    assert counted([]) == []
