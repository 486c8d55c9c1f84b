"""One opened run: states are those of a plain replay, whichever way they are asked for, and the cache is bounded."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.editing.deltas.states import States
from core.editing.linalg.lowrank import LowRank
from core.errors import UserError
from core.recent import Recent
from core.runs.engine.laboratory import Laboratory
from core.runs.opened.run import OpenedRun
from core.runs.store.undo import bring_in_line

EARLIER = Path(__file__).parent / "earlier"  # a run's folder as it was written before runs had rooms


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("home"))


@pytest.fixture
def run(done, laboratory):
    return OpenedRun(done, laboratory)


def plain(run, label, round_):
    """W_t by layer: W0 and the rounds' matrices, added one after the other."""
    weights = {layer: run.lm.original(layer).clone() for layer in run.layers[label]}
    for number in range(1, round_ + 1):
        for layer, delta in run.ledger.read(label, number).updates.items():
            weights[layer] = weights[layer] + delta.left @ delta.right.T
    return weights


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 3), (3, 2, 1)])
def test_states_are_those_of_the_run_in_whatever_order(run, order):
    run.laboratory.recent.clear()
    for number in order:
        for label in run.labels:
            at = run.lane(label).at(number)
            state, noted = at.state, at.event["hash"]
            assert {str(layer): state.digest(layer) for layer in state.weights} == noted
            whole = run.ledger.rebuild(run.lm, label, run.layers[label], number)
            for layer, slow in plain(run, label, number).items():
                torch.testing.assert_close(at.weights[layer], slow, rtol=1e-5, atol=1e-6)
                assert torch.equal(state.history[layer], whole.history[layer])
                assert torch.equal(state.sums[layer], whole.sums[layer])


def test_a_state_can_be_edited_on_and_nobody_else_sees_it(run):
    lane = run.lane("plain")
    state, update = lane.at(1).state, lane.at(2).update
    before = {layer: weight.clone() for layer, weight in lane.at(1).weights.items()}
    state.apply(update)
    assert all(torch.equal(lane.at(1).weights[layer], weight) for layer, weight in before.items())
    assert all(torch.equal(lane.at(2).weights[layer], weight) for layer, weight in state.weights.items())
    other = lane.at(1).state  # what the first copy added stands behind the keys that both share
    other.apply(update)
    assert all(torch.equal(other.history[layer], state.history[layer]) for layer in state.history)


def test_a_state_first_asked_for_within_a_measurement_can_be_edited_on(run):
    run.laboratory.recent.clear()
    with torch.inference_mode():
        assert not run.lane("plain").at(2).weights[1].is_inference()
    weight = run.lane("plain").at(2).weights[1]
    (weight * torch.ones(1, requires_grad=True)).sum().backward()  # an inference tensor could not be saved for this


def test_rounds_between_are_replayed_once(run, monkeypatch):
    read, ledger_read = [], Ledger.read
    monkeypatch.setattr(Ledger, "read", lambda self, *args: read.append(args[1]) or ledger_read(self, *args))
    run.laboratory.recent.clear()
    for number in (1, 3, 2, 3):
        run.lane("plain").at(number).state  # noqa: B018
    assert read == [1, 2, 3, 2]


def test_a_round_that_was_undone_and_edited_again_is_read_again(done, laboratory, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(done, folder)
    run = OpenedRun(folder, laboratory)
    first = run.lane("plain").at(3).weights
    update = run.ledger.read("plain", 3)
    events = [event for event in run.record.events if event.get("round", 0) < 3]
    bring_in_line(run.folder, events)
    with pytest.raises(UserError, match="round 3 of plain is not edited yet; rounds 0 to 2 are"):
        run.lane("plain").at(3)
    assert [event["round"] for event in run.record.events if event["kind"] == "edited"][-1] == 2
    for layer, delta in update.updates.items():
        update.updates[layer] = LowRank(2 * delta.left, delta.right.clone())
    run.ledger.append("plain", 3, update)
    second = run.lane("plain").at(3).weights
    assert all(not torch.equal(first[layer], second[layer]) for layer in first)


def test_what_is_not_there_is_told(run, tmp_path):
    for ask, message in (
        (lambda: run.lane("plane"), 'there is no lane "plane"; did you mean "plain"'),
        (lambda: run.lane(), "this run has 2 lanes; name one of them: plain, guarded"),
        (lambda: run.lane("plain").at(4), "round 4 of plain is not edited yet; rounds 0 to 3 are"),
        (lambda: run.lane("plain").at(0, first=1), "round 0 of plain is not edited yet; rounds 1 to 3 are"),
        (lambda: run.lane("plain").at(3, without=(9,)), "round 9 of plain"),
        (lambda: OpenedRun(tmp_path, run.laboratory).spec, "has not begun yet"),
    ):
        with pytest.raises(UserError, match=message):
            ask()
    assert not OpenedRun(tmp_path, run.laboratory).begun


def test_another_model_is_refused(run, monkeypatch):
    monkeypatch.setattr(run.lm, "fingerprint", "another")
    with pytest.raises(UserError, match="no longer the one that this run was made with"):
        run.lane("plain").at(1).weights  # noqa: B018


def test_the_cache_holds_what_was_used_last_within_its_bounds():
    recent = Recent(most=3, limit=10)
    for number in range(4):
        recent.put(number, f"{number}", size=1)
    assert list(recent) == [1, 2, 3]
    assert (recent.get(1), recent.get(0)) == ("1", None)
    recent.put("large", "…", size=8)
    assert list(recent) == [3, 1, "large"]
    recent.put("larger", "…", size=99)  # what was used last stays, however large
    assert (list(recent), recent.size) == (["larger"], 99)
    made = []
    for version in (1, 1, 2):
        recent.made("one", lambda: made.append(1) or len(made), version)
    assert (len(made), recent.get("one", 1), recent.get("one", 2)) == (2, None, 2)


def test_states_stay_within_the_cache(run):
    """With room for one state alone each is still right."""
    states = States(run.lm, run.ledger, Recent(most=1))
    for number in (3, 1, 2):
        found, usual = states.at("guarded", number).weights, run.lane("guarded").at(number).weights
        assert all(torch.equal(found[layer], weight) for layer, weight in usual.items())


def test_a_run_of_the_earlier_layout_opens(tmp_path, model_folder, texts_file, laboratory):
    """Its files are as they were written; the model's folder and the texts lie where this test has them."""
    folder = tmp_path / "run"
    shutil.copytree(EARLIER, folder)
    for name in ("spec.json", "events.jsonl"):
        text = (EARLIER / name).read_text()
        (folder / name).write_text(text.replace("MODEL", str(model_folder)).replace("TEXTS", str(texts_file)))
    run = OpenedRun(folder, laboratory)
    lane = run.lane()
    assert (lane.label, lane.rounds, lane.recipe.guard_names) == ("guarded", [1, 2], ("revive",))
    assert [run.facts.edit[index].subject for index in lane.edited_by(2)] == ["France", "Italy"]
    for number in (0, 1, 2):
        weights = lane.at(number).weights
        for layer, slow in plain(run, "guarded", number).items():
            torch.testing.assert_close(weights.get(layer, run.lm.original(layer)), slow, rtol=1e-5, atol=1e-6)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    noted = [event["hash"] for event in events if event["kind"] == "edited"]
    assert [{"1": lane.at(number).state.digest(1)} for number in (1, 2)] == noted
