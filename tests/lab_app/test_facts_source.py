"""Where facts come from besides typing, and what is said of them: handlers, endpoints, and the table in a browser."""

from __future__ import annotations

import json
import tempfile
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import UserError
from core.facts.order import ORDERS
from core.runs.spec.admission import EVERYTHING, Offer
from core.runs.spec.run_spec import RunSpec
from lab_app.features.facts_source import Desk
from lab_app.form import experiment, sources
from lab_app.form.examples import PLAIN, by_template, examples
from lab_app.handlers.actions import FORM, Actions
from lab_app.lab import Lab, admit
from tests.facts.records import ZSRE
from tests.lab_app.apart import OWNER, OWNER_KEY
from tests.lab_app.test_experiment import TYPED, world  # noqa: F401

COUNTERFACT = {
    "case_id": 3,
    "requested_rewrite": {
        "prompt": "The capital of {} is",
        "subject": "France",
        "target_new": {"str": "Rome"},
        "target_true": {"str": "Paris"},
        "relation_id": "P36",
    },
    "paraphrase_prompts": ["France is governed from"],
    "neighborhood_prompts": ["The capital of Gaul is"],
}
LANES = {"lanes": [{"method": "memit"}]}
FORM_VALUES = {"lanes": LANES, "round_size": 1, "seed": 0}


def event(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    opened = Lab(tmp_path_factory.mktemp("home"), worker=False, key=OWNER_KEY)
    yield opened
    opened.close()


# -- what is sampled, and in which order


def test_a_dataset_is_edited_alone_its_first_records_as_in_the_papers(world):  # noqa: F811
    table = {"rows": [TYPED], "source": "knowedit", "subset": "wiki_recent", "order": "adversarial", "shuffle": ""}
    facts, places = experiment.asked(table, 30, 7, world)
    assert facts == {
        **{"source": "knowedit", "subset": "wiki_recent", "count": 30, "seed": 7, "shuffle": False},
        **{"malformed": "skip", "unedited": 200, "order": "adversarial"},
    }
    assert places == []
    spec = RunSpec.from_dict(experiment.spec(facts, {**FORM_VALUES, "round_size": 10, "tasks": True, "seed": 7}))
    admit(spec, EVERYTHING)
    form = experiment.form(spec.as_dict())
    assert (form["facts"], form["count"], form["seed"]) == (table | {"rows": []}, 30, 7)
    mixed, _ = experiment.asked(table | {"shuffle": "true"}, 30, 7, world)
    assert mixed == facts | {"shuffle": True}
    spec = RunSpec.from_dict(experiment.spec(mixed, {**FORM_VALUES, "round_size": 10, "tasks": True, "seed": 7}))
    assert experiment.form(spec.as_dict())["facts"]["shuffle"]  # and stays so when the form is filled again
    with pytest.raises(UserError, match="say how many"):
        experiment.asked(table, 0, 7, world)


def test_an_order_goes_with_typed_and_sampled_facts(world):  # noqa: F811
    for order in ORDERS:
        facts, places = experiment.asked({"rows": [{}, TYPED], "source": "pocket", "order": order}, 3, 0, world)
        assert facts.get("order", "given") == order
        assert places == [2]
        spec = RunSpec.from_dict(experiment.spec(facts, FORM_VALUES))
        assert experiment.form(spec.as_dict())["facts"]["order"] == order
    assert experiment.asked("nonsense", 3, 0, world)[0]["source"] == "pocket"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"source": "elken"}, "ELKEN is not on the hub: upload its file"),
        ({"source": "table"}, "not on the hub"),
        ({"source": "zsre", "subset": "answers"}, "published at https"),
        ({"source": "counterfact", "path": "/etc"}, "names no files"),
        ({"source": "/etc/passwd.csv"}, "names no files"),
    ],
)
def test_what_a_visitor_may_not_ask_for(facts, message):
    offer = Offer(data=("elken", "table", "zsre", "counterfact"))
    with pytest.raises(UserError, match=message):
        admit(RunSpec.from_dict({"facts": facts, "lanes": [{"method": "memit"}]}), offer)


def test_datasets_on_the_hub_are_admitted_and_nothing_is_fetched(lab):
    """Putting such a run into the queue asks nobody: the worker fetches what is asked for when it starts."""
    spec = {"facts": {"source": "counterfact", "count": 5}, "lanes": [{"method": "memit"}]}
    with pytest.raises(UserError, match="not offered here; the data sets are pocket, everyday, statements"):
        lab.start(spec)
    found = lab.start(spec, offer=Offer(data=("counterfact",)))
    assert lab.store.get(found).status == "queued"


# -- files


def file(tmp_path: Path, name: str, content: Any) -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_table_comes_with_its_problems_at_row_and_cell(tmp_path):
    rows = "subject,prompt,target,mood\nFrance,The capital of {} is,Rome,good\nItaly,no slot,Lyon,\n,,,\nPeru,{} is,,\n"
    found, problems, words = sources.uploaded(file(tmp_path, "mine.csv", rows))
    assert [row.get("subject") for row in found] == ["France", "Italy", "Peru"]
    assert [(one["row"], one["column"]) for one in problems] == [(2, "prompt"), (3, "target")]
    assert "mine.csv: 3 rows added" in words
    assert "column mood" in words
    lines = '{"subject": "a", "prompt": "{} b", "target": "c"}\n{broken\n'
    found, problems, words = sources.uploaded(file(tmp_path, "mine.jsonl", lines))
    assert (len(found), problems) == (1, [])
    assert "line 2: not JSON" in words


def test_a_dataset_is_recognised_and_its_bad_records_named(tmp_path):
    bad = json.loads(json.dumps(COUNTERFACT))
    bad["requested_rewrite"]["target_new"]["str"] = ""
    found, problems, words = sources.uploaded(file(tmp_path, "counterfact.json", [COUNTERFACT, bad]))
    assert problems == []
    assert "counterfact.json is CounterFact: 1 fact added. 1 records left out: row 2, " in words
    assert found[0]["paraphrases"] == ("France is governed from",)
    facts, _ = experiment.asked({"rows": found}, 0, 0, None)
    assert RunSpec.from_dict(experiment.spec(facts, FORM_VALUES)).facts.items[0]["truth"] == "Paris"


def test_what_zsre_teaches_is_named_where_it_is_chosen(tmp_path):
    _, _, words = sources.uploaded(file(tmp_path, "zsre.json", [ZSRE]))
    assert "New answers: the alternative answer (alt)" in words
    offered = next(kind for kind in sources.offered(None, Offer())["datasets"] if kind["name"] == "zsre")
    assert "gold answer" in offered["taught"]["answers"]
    assert all(not kind["taught"] for kind in sources.offered(None, Offer())["datasets"] if kind["name"] != "zsre")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "x", "uploaded as .csv, .json, .jsonl"),
        ("a.parquet", "x", "uploaded as"),
        ("a.json", "[{", "line 1: not JSON"),
        ("a.json", [{"wish": 1}], "not recognised by its fields"),
        ("a.json", [], "no facts in it"),
        ("a.csv", "subject,prompt,target\n" + "a,{} b,c\n" * 20_001, "at most 20,000"),
    ],
)
def test_what_is_no_file_of_facts(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message) as caught:
        sources.uploaded(file(tmp_path, name, content))
    assert str(tmp_path) not in str(caught.value)  # visitors learn nothing of this computer's folders


def sending(name: Any, content: Any) -> Any:
    return event(name=name, content=b64encode(content.encode()).decode() if isinstance(content, str) else content)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (event(), "Choose a file"),
        (event(name=3, content="eA=="), "Choose a file"),
        (event(name="a.csv", content="x"), "upload was incomplete"),
        (sending("a.csv", "x" * 16_000_001), "at most 16 MB"),
        (sending("../../../etc/a.txt", "x"), "tca.txt: facts are uploaded as"),
        (sending("..", "x"), "acts: facts are uploaded as"),
    ],
)
def test_what_is_sent_as_a_file_is_not_believed(lab, sent, message):
    assert message in Desk(lab).upload({"rows": []}, sent)["problems"]["message"]


def test_an_upload_is_added_behind_the_rows_and_not_kept(tmp_path, lab, monkeypatch):
    sent = sending("mine.csv", "subject,prompt,target\nItaly,{} is,Lyon\nPeru,{} is,\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    table = {"rows": [TYPED, {"subject": "", "prompt": "x"}], "order": "shuffled"}
    update = Desk(lab).upload(table, sent)
    assert [row["subject"] for row in update["value"]["rows"]] == ["France", "Italy", "Peru"]
    assert update["value"]["order"] == "shuffled"
    assert update["problems"]["items"] == [{"row": 3, "column": "target"} | update["problems"]["items"][0]]
    assert list(tmp_path.iterdir()) == []
    update = Desk(lab).upload(table, sending("b.csv", "a,b\n1,2\n"))
    assert "not recognised" in update["problems"]["message"]
    assert "value" not in update


# -- checks and templates


def test_rows_are_looked_up_in_the_world(world):  # noqa: F811
    rows = [TYPED, TYPED | {"target": "Paris"}, TYPED | {"subject": "Frence"}, TYPED | {"prompt": "no slot", "x": 1}]
    right, taught, misspelt, wrong = sources.looked_up(rows, world)
    assert right == {"problems": [], "truth": "Paris", "hint": ""}
    assert "nothing changes" in taught["hint"]
    assert misspelt["hint"].endswith("Did you mean France?")
    assert wrong["problems"] == [["prompt", 'does not mention its subject "France": write {} where the subject goes']]
    assert sources.looked_up([TYPED], None) == [{"problems": [], "truth": "", "hint": ""}]  # another model's world
    assert len(sources.looked_up([TYPED] * 999, world)) == sources.CHECKED


def test_a_template_offers_subjects_with_their_truth(world):  # noqa: F811
    found = sources.relation(world, "capital")
    assert ["France", "Paris"] in found["subjects"]
    assert found["objects"] == ["Paris", "Rome"]
    assert sources.prompt(world.relations["capital"]) == "The capital of {} is"
    with pytest.raises(UserError, match="did you mean"):
        sources.relation(world, "capitals")
    assert [row[0] for row in sources.offered(world, Offer())["relations"]] == list(world.relations)
    assert sources.offered(None, Offer())["relations"] == []


def test_the_handlers_believe_nothing(lab):
    desk = Desk(lab)
    assert desk.check("pocket", event(rows="x"))["looked"] == {"rows": []}
    assert desk.check("pocket", event())["looked"] == {"rows": []}
    key, found = desk.check("gpt2", event(rows=[None, PLAIN[0]]))["looked"]["rows"][0]
    assert key[0] == "France"
    assert found["hint"] == ""
    if lab.world is not None:
        assert "no relation" in desk.relation("pocket", event(name="x"))["problems"]["message"]


# -- the spec


def form(**changes: Any) -> list[Any]:
    values = {"facts": {"rows": [TYPED]}, "count": 0, "seed": 2, "lanes": LANES, "model": "pocket", "round_size": 5}
    values |= {"tasks": True, "maps": False, "single": False, "measured": "", "free": False} | changes
    return [values[name] for name in FORM]


def test_the_spec_that_is_shown_is_the_one_that_run_sends(lab):
    shown = Desk(lab).spec(OWNER, *form())
    assert shown["wrong"] == ""
    sent = json.loads(shown["text"])
    assert RunSpec.from_dict(sent).facts.items[0]["subject"] == "France"
    facts, _ = experiment.asked({"rows": [TYPED]}, 0, 2, lab.world)
    assert sent == experiment.spec(facts, {**FORM_VALUES, "model": "pocket", "round_size": 5, "tasks": True, "seed": 2})
    wrong = Desk(lab).spec(OWNER, *form(lanes={"lanes": [{"method": "memitt"}]}))
    assert "lanes[0].method" in wrong["wrong"]
    assert "memitt" in wrong["text"]
    assert Desk(lab).spec(OWNER, *form(facts={"rows": []}))["text"] == ""
    assert "not on the hub" in Desk(lab).spec(OWNER, *form(facts={"source": "elken"}, count=3))["wrong"]


def test_facts_for_a_real_model_are_everyday_ones(lab):
    assert lab.world_of("smollm2") is lab.everyday
    assert lab.world_of("pocket") is lab.world_of("") is lab.world
    drawn, _ = experiment.asked({"rows": []}, 30, 1, lab.world_of("smollm2"))
    assert drawn == {"source": "everyday", "count": 30, "seed": 1, "unedited": 200}
    typed = {"subject": "France", "prompt": "The capital of {} is", "target": "Rome", "truth": "Paris"}
    mixed, _ = experiment.asked({"rows": [typed]}, 5, 1, lab.world_of("smollm2"))
    assert [row.get("source", "") for row in mixed["items"][:6]] == ["", *["everyday"] * 5]
    assert mixed["items"][1]["kind"] == "known"
    assert experiment.form({**RunSpec.from_dict({"facts": mixed, **LANES}).as_dict()})["count"] == 5
    desk = Desk(lab)
    offered = {model: desk.world(model, {}, OWNER)["offered"] for model in ("smollm2", "pocket")}
    assert [offered[model]["world"] for model in offered] == ["everyday facts", "the pocket world"]
    assert [row[0] for row in offered["smollm2"]["relations"]] == list(lab.everyday.relations)
    found = desk.relation("smollm2", event(name="plural"))["relation"]
    assert dict(found["subjects"])["child"] == "children"
    assert "world of everyday facts has no relation" in desk.relation("smollm2", event(name="x"))["problems"]["message"]


def test_untouched_examples_follow_the_model_and_typed_rows_stay(lab):
    desk, first = Desk(lab), {"rows": examples(lab.world), "order": "shuffled"}
    everyday = desk.world("smollm2", first, OWNER)["value"]
    assert (everyday["rows"], everyday["order"]) == (examples(lab.everyday), "shuffled")
    assert everyday["rows"] != first["rows"]
    for row in everyday["rows"]:  # each is asked as the model says it, where it does
        relation = by_template(lab.everyday)[row["prompt"]]
        (fact,) = [
            each for each in lab.everyday.facts if (each["relation"], each["subject"]) == (relation, row["subject"])
        ]
        said = [lab.everyday.relations[relation]["templates"][number] for number in fact["known"]]
        assert row["prompt"] == said[0]
        assert row["truth"] == fact["object"] != row["target"]
    assert desk.world("pocket", everyday, OWNER)["value"]["rows"] == first["rows"]
    assert "value" not in desk.world("pocket", first, OWNER)
    for changed in ([*first["rows"], TYPED], first["rows"][1:], []):
        assert "value" not in desk.world("smollm2", {"rows": changed}, OWNER)
    assert Actions(lab).example_rows("smollm2")["value"]["rows"] == everyday["rows"]


def test_protocols_of_the_form_are_fields_of_the_spec_and_come_back(lab):
    given = {**FORM_VALUES, "single": True, "measured": "1, 2, 5-7", "free": True}
    facts, _ = experiment.asked({"rows": [], "order": "high"}, 5, 0, lab.world)
    spec = RunSpec.from_dict(experiment.spec(facts, given))
    assert (spec.protocol, spec.round_size) == ("single", 1)
    assert (spec.measure.rounds, spec.measure.generated) == ([1, 2, 5, 6, 7], experiment.FREELY)
    assert (spec.facts.likely, spec.facts.order) == ("high", "given")
    filled = experiment.form(spec.as_dict())
    assert (filled["single"], filled["measured"], filled["free"]) == (True, "1, 2, 5, 6, 7", True)
    assert filled["facts"]["order"] == "high"
    each = RunSpec.from_dict(experiment.spec(facts, {**FORM_VALUES, "single": True, "round_size": 50}))
    assert (each.round_size, each.measure.every) == (1, 50)
    assert experiment.form(each.as_dict())["round_size"] == 50
    usual = experiment.form(RunSpec.from_dict(experiment.spec(facts, FORM_VALUES)).as_dict())
    assert (usual["single"], usual["measured"], usual["free"]) == (False, "", False)
    assert "should be numbers" in Desk(lab).spec(OWNER, *form(measured="some"))["wrong"]
    assert "take the typed rows out" in Desk(lab).spec(OWNER, *form(facts={"rows": [TYPED], "order": "low"}))["wrong"]
