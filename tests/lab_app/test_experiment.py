import pytest

from core.editing.settings.defaults import POCKET
from core.errors import UserError
from core.facts.readers.pocket import PocketWorld
from core.facts.source import FactsSpec, load_facts
from core.runs.spec.problems import SpecError
from core.runs.spec.run_spec import RunSpec
from lab_app.form import experiment
from lab_app.form.examples import PLAIN, completed, examples

RELATIONS = {
    "capital": {"templates": ["The capital of {} is", "{} is governed from"], "held_out": [1], "hops": []},
    "birth": {"templates": ["{} was born in", "The home town of {} is"], "held_out": [1], "hops": []},
}


@pytest.fixture(scope="module")
def world():
    people = [
        {"id": f"p{i}", "relation": "birth", "subject": f"Person {i}", "object": f"Town {i % 5}"} for i in range(60)
    ]
    lands = [
        {"id": f"c{i}", "relation": "capital", "subject": land, "object": city}
        for i, (land, city) in enumerate([("France", "Paris"), ("Gallia", "Paris"), ("Italy", "Rome")])
    ]
    return PocketWorld.of(RELATIONS, [row | {"reserved": False, "held_out": False} for row in people + lands])


TYPED = {"subject": "France", "prompt": "The capital of {} is", "target": "Rome"}


def test_typed_rows_in_the_worlds_words_get_paraphrases_and_neighbors(world):
    (row,) = completed([TYPED], world)
    assert row["paraphrases"] == ["France is governed from"]
    assert row["neighborhood"] == [{"prompt": "The capital of Gallia is", "answer": "Paris"}]
    assert row["truth"] == "Paris"
    assert completed([TYPED], None) == [TYPED]
    other = {"subject": "France", "prompt": "Nobody asks {} so", "target": "x"}
    assert completed([other], world) == [other]


def test_sampled_facts_follow_the_typed_ones_and_some_are_left_alone(world, tmp_path):
    facts, places = experiment.facts([{}, TYPED], 20, 3, world)
    assert places == [2]
    assert facts["count"] == 21
    found = load_facts(FactsSpec(**facts), tmp_path)
    assert [fact.subject for fact in found.edit[:1]] == ["France"]
    assert len({fact.subject for fact in found.edit}) == 21
    assert found.unedited
    assert all(fact.target.startswith("Town") or fact.relation == "capital" for fact in found.unedited)
    assert not {fact.subject for fact in found.edit} & {fact.subject for fact in found.unedited}


def test_only_sampled_and_only_typed(world):
    assert experiment.facts([], 5, 1, world)[0] == {"source": "pocket", "count": 5, "seed": 1, "unedited": 200}
    facts, _ = experiment.facts([TYPED], 0, 0, world)
    assert len(facts["items"]) == 1


def test_what_cannot_be_asked(world):
    for rows, count, known, message in (
        ([], 0, world, "no facts"),
        ([{"prompt": "The capital of {} is"}], 0, world, "no facts"),  # a row begun, nothing in it
        ([TYPED], 9_999, world, "request fewer"),
        ([TYPED], 3, None, "pocket world is missing"),
    ):
        with pytest.raises(UserError, match=message):
            experiment.facts(rows, count, 0, known)


def test_rows_from_a_browser_are_not_believed(world):
    facts, _ = experiment.facts([None, 3, "x", TYPED | {"evil": 1}], 0, 0, world)
    assert [row["subject"] for row in facts["items"]] == ["France"]
    assert "evil" not in facts["items"][0]


def test_lanes_become_a_spec():
    chosen = [
        {
            "method": "memit",
            "guard": "",
            "options": {"lambda": "1,000", "layers": "1, 4-6", "history": "true", "steps": " "},
        },
        {"method": "memit", "guard": "revive", "tau": 0.2, "name": " mine "},
    ]
    chosen[0]["options"]["lambda"] = "1000"
    chosen.append({"method": "memit", "prior": "lowrank", "wrapper": "simie", "guard": "rect"})
    chosen[2]["guard_options"] = {"keep": "0.3", "unheard": "of", "epsilon": ""}
    first, second, third = experiment.lanes(chosen)
    assert first == {"method": "memit", "lambda": 1000.0, "layers": [1, 4, 5, 6], "history": True}
    assert second == {"method": "memit", "name": "mine", "guards": [{"name": "revive", "tau": 0.2}]}
    assert third == {
        "method": "memit",
        "prior": "lowrank",
        "wrapper": "simie",
        "guards": [{"name": "rect", "keep": 0.3}],
    }
    assert experiment.shown(third) == {
        **{"method": "memit", "prior": "lowrank", "wrapper": "simie", "name": ""},
        **{"guard": "rect", "tau": None, "guard_options": {"keep": "0.3"}},
    }


def test_the_catalogue_shows_the_pocket_models_settings_and_why():
    offered = experiment.catalogue()
    memit = next(found for found in offered["methods"] if found["name"] == "memit")
    rate = next(found for found in memit["fields"] if found["name"] == "lr")
    assert rate["default"] == POCKET["lr"].value
    assert POCKET["lr"].reason in rate["help"]
    revive = next(found for found in offered["guards"] if found["name"] == "revive")
    assert revive["tau"] == 0.1
    elsewhere = next(found for found in experiment.catalogue("gpt2")["methods"] if found["name"] == "memit")
    assert next(found for found in elsewhere["fields"] if found["name"] == "lr")["default"] is None


def test_problems_find_their_places():
    spec = {
        "facts": {"items": [TYPED, TYPED | {"target": ""}]},
        "lanes": [{"method": "memit"}, {"method": "memit", "steps": "many", "guards": [{"name": "revive", "tau": 3}]}],
        "model": "",
    }
    with pytest.raises(SpecError) as caught:
        RunSpec.from_dict(spec)
    found = experiment.placed(caught.value.problems, [2, 5])
    assert [(problem["row"], problem["column"]) for problem in found.facts] == [(5, "target")]
    assert {problem["lane"] for problem in found.lanes} == {1}
    assert any("tau" in problem["message"] for problem in found.lanes)
    assert set(found.fields) == {"model"}


def test_the_form_says_again_what_was_asked(world):
    facts, _ = experiment.facts([TYPED], 4, 7, world)
    chosen = [{"method": "memit", "guard": "revive", "tau": 0.2, "options": {"layers": "2-3", "history": "true"}}]
    spec = {"facts": facts, "lanes": experiment.lanes(chosen), "model": "pocket", "round_size": 3, "seed": 7}
    form = experiment.form(RunSpec.from_dict(spec).as_dict())
    assert [row["subject"] for row in form["facts"]["rows"]] == ["France"]
    assert (form["count"], form["seed"], form["round_size"], form["model"]) == (4, 7, 3, "pocket")
    assert form["lanes"]["lanes"] == [chosen[0] | {"name": "", "options": {"layers": "2, 3", "history": "true"}}]
    sampled = RunSpec.from_dict(spec | {"facts": {"source": "pocket", "count": 9, "seed": 2}}).as_dict()
    form = experiment.form(sampled)
    assert (form["count"], form["facts"]["rows"], form["facts"]["source"]) == (9, [], "pocket")


def test_there_are_always_examples(world):
    assert examples(None) == list(PLAIN)
    assert examples(world)[0]["subject"] == "France"
