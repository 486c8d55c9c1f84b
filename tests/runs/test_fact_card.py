"""A fact of a run looked at closely: at which rounds, and whether its edit can be shown."""

import pytest
import torch

from core.editing.deltas.ledger import Ledger
from core.errors import UserError
from core.measures.outside.fact_card import questions, rated
from core.runs.engine.laboratory import Laboratory
from core.runs.opened.fact_card import fact_card, rounds_to_ask
from core.runs.opened.run import OpenedRun
from tests.runs.at_work import LITTLE, answered, queued, status


@pytest.mark.parametrize(
    "last, edited_in, looked, expected",
    [
        (0, None, 0, [0]),
        (3, 2, 3, [0, 1, 2, 3]),
        (20, 8, 20, [0, 3, 7, 8, 14, 20]),
        (20, None, 20, [0, 2, 5, 10, 15, 20]),
        (100, 1, 50, [0, 1, 25, 50, 75, 100]),
    ],
)
def test_rounds_that_a_fact_is_asked_at(last, edited_in, looked, expected):
    found = rounds_to_ask(range(last + 1), edited_in, looked)
    assert len(found) == min(6, last + 1)
    assert {0, looked, last, *([edited_in] if edited_in else [])} <= set(found)
    assert found == expected


def test_a_card_says_what_the_ledger_says(done, tmp_path):
    run = OpenedRun(done, Laboratory(tmp_path))
    record = run.record
    for lane in ("plain", "guarded"):
        card = fact_card(run, {"fact": 2, "lane": lane})
        assert (card["lane"], card["fact"]["subject"], card["edited_in"]) == (lane, run.facts.edit[2].subject, 2)
        assert [row["round"] for row in card["rounds"]] == [0, 1, 2, 3]
        layers = record.started["layers"][lane]
        for row in card["rounds"]:
            weights = Ledger(record.folder.ledger).rebuild(run.lm, lane, layers, row["round"]).weights
            with run.lm.worn(weights if row["round"] else {}):
                slow = rated(run.lm, questions(run.facts.edit[2]))
            assert row["target"] == pytest.approx(slow["target"], rel=1e-4)  # told in five digits
            assert row["exact"] == slow["exact"]
        assert [row["round"] for row in card["lens"]] == [0, 3]
        new = card["fact"]["target"]
        for row, at in zip(card["lens"], (card["rounds"][0], card["rounds"][-1]), strict=True):
            last = row["places"][-1]  # after the last layer, at the last token: what the model says
            if len(run.lm.tokenizer(f" {new}", add_special_tokens=False)["input_ids"]) == 1:
                assert last["target"][-1] == pytest.approx(at["target"][0], abs=1e-4)
        noted = record.edited(lane, 2)
        assert [row["same"] for row in card["proof"]["layers"]] == [True, True]
        for row, event in zip(card["proof"]["layers"], noted["layers"], strict=True):
            assert row["layer"] == event["layer"]
            assert row["norm"] == pytest.approx(event["delta_frobenius"], rel=1e-3)
            assert row["removed"] == pytest.approx(event["removed_share"], abs=1e-4)
            assert row["hash"] == noted["hash"][str(row["layer"])]
    assert card["proof"]["layers"][0]["removed"] > 0  # of the guarded lane
    with pytest.raises(UserError, match="there is no fact 99: this run has facts 0 to 5"):
        fact_card(run, {"fact": 99})
    with pytest.raises(UserError, match='did you mean "plain"'):
        fact_card(run, {"fact": 0, "lane": "plane"})
    with pytest.raises(UserError, match="round 9 of plain is not edited yet"):
        fact_card(run, {"fact": 0, "lane": "plain", "round": 9})


def test_the_worker_answers_and_nothing_is_touched(store, make_spec):
    run = queued(store, make_spec(round_size=3, measure=LITTLE))
    status(store, run, "done")
    random = torch.get_rng_state()
    found = answered(store, store.command(run, "fact", {"fact": 4, "lane": "guarded", "round": 1}))
    assert found.state == "done", found.answer
    assert (found.answer["edited_in"], found.answer["proof"]["round"]) == (2, 2)
    assert torch.equal(torch.get_rng_state(), random)
    refused = answered(store, store.command(run, "fact", {"fact": "four"}))
    assert "there is no fact 'four'" in refused.answer["message"]
