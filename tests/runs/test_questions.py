"""Questions beyond the state of a round: of the unedited model before any run, and without some rounds."""

import pytest

from core.runs.engine.laboratory import POCKET, Laboratory
from core.runs.worker.questions import QuestionHandler
from tests.runs.at_work import LITTLE, answered, kinds, long, queued, status, until

ASKED = {"prompt": "France was born in", "new_tokens": 3, "top": 5}


def probe(store, run, **payload):
    found = answered(store, store.command(run, "probe", {**ASKED, **payload}))
    assert found.state == "done", found.answer
    return found.answer


def test_rounds_can_be_left_out(store, make_spec):
    run = queued(store, make_spec(measure=LITTLE))
    status(store, run, "done")
    first, all_ = probe(store, run, round=1), probe(store, run)
    assert all_["round"] == 3
    assert first["after"]["next"] != all_["after"]["next"]
    assert probe(store, run, without=[2, 3])["after"] == first["after"]
    assert probe(store, run, without=[3, 2, 1])["after"] == first["before"]
    second_alone = probe(store, run, round=2, without=[1])["after"]["next"]
    assert second_alone not in (first["after"]["next"], all_["after"]["next"])
    for without, message in (([4], "round 4 of plain is not edited yet"), ("two", "a list of rounds")):
        found = answered(store, store.command(run, "probe", {**ASKED, "without": without}))
        assert message in found.answer["message"]
    assert probe(store, run, lane="guarded")["after"]["next"] != all_["after"]["next"]


@pytest.mark.usefixtures("pocket")
def test_before_any_run_the_unedited_pocket_model_answers(store, working):
    found = probe(store, "")
    assert (found["model"], found["lane"], found["round"]) == ("pocket", "", 0)
    assert found["before"] == found["after"]
    assert working.laboratory.has(POCKET)
    loaded = working.laboratory.model(POCKET)
    assert probe(store, "", prompt="The capital of France is", new_tokens=12)["before"]["text"].strip()
    assert working.laboratory.model(POCKET) is loaded  # it stays: the next question does not wait for it
    for prompt, message in (("", "a prompt of 1 to"), ("a" * 3000, "not 3,000")):
        failed = answered(store, store.command("", "probe", {"prompt": prompt}))
        assert message in failed.answer["message"]
    assert answered(store, store.command("", "map")).state == "failed"


@pytest.mark.usefixtures("pocket")
def test_the_chosen_model_answers_where_it_is_the_loaded_one(store, make_spec, model_folder):
    assert probe(store, "", model="/no/such/model")["model"] == "pocket"
    run = queued(store, make_spec(measure=LITTLE, device="auto"))
    status(store, run, "done")
    assert probe(store, "", model=str(model_folder))["model"] == str(model_folder)
    assert probe(store, "", model=str(model_folder))["before"] == probe(store, run)["before"]


@pytest.mark.usefixtures("pocket")
def test_a_run_that_has_not_begun_is_answered_without_its_lanes(store, make_spec):
    going = queued(store, long(make_spec))
    until(lambda: kinds(store, going, "edited"), "an edit")
    store.command(going, "pause")
    waiting = queued(store, make_spec(model="/no/such/model"))
    status(store, going, "paused")
    until(lambda: store.get(waiting).status == "failed", "failure")
    assert probe(store, waiting)["model"] == "pocket"
    assert "has not begun" in answered(store, store.command(waiting, "map")).answer["message"]


def test_another_model_is_not_loaded_for_it_while_a_run_goes_on(tmp_path):
    class Loaded(Laboratory):
        """Has the model of a run, and not the pocket model."""

        def has(self, spec):
            return spec.model == "mine"

    answers = QuestionHandler(Loaded(tmp_path))
    assert answers.ready(None, {"model": "mine"})
    assert not answers.ready(None, {"model": "another"})
    assert not answers.ready(None, {})
