from dataclasses import replace

import pytest
import torch

from core.charts.plot import charted
from core.measures.inside.fact_lens import LAST, SUBJECT
from core.measures.studies.lens import NEW, OLD, Lens
from core.models.tokens import answer_ids
from tests.measures.studies.checks import well_formed


@pytest.fixture(scope="module")
def found(plain_case):
    return Lens().run(plain_case, [1, 3])


def by_hand(case, t, place, answer):
    """The mean probability after each layer, and how often it is the likeliest token."""
    lm, values, best = case.lm, [], []
    facts = [fact for fact in case.facts if answer == NEW or fact.truth]
    for fact in facts:
        ids = lm.encode(fact.text)
        token = answer_ids(lm.tokenizer, fact.text, fact.target if answer == NEW else fact.truth)[0]
        at = lm.slot_last(fact.prompt, fact.subject)[1] if place == SUBJECT else len(ids) - 1
        kept = []
        hooks = [block.register_forward_hook(lambda _, __, out, kept=kept: kept.append(out)) for block in lm.layers]
        with lm.worn(case.weights(t)), torch.no_grad():
            lm.model(torch.tensor([ids]))
            logits = torch.stack(
                [lm.head(lm.model.model.norm(h[0] if isinstance(h, tuple) else h))[0, at] for h in kept]
            )
        for hook in hooks:
            hook.remove()
        values.append(logits.softmax(1)[:, token])
        best.append((logits.argmax(1) == token).double())
    return torch.stack(values).mean(0), torch.stack(best).mean(0), len(facts)


def test_means_are_those_of_a_plain_computation(found, plain_case):
    well_formed(found)
    for t in (0, 3):
        for place in (SUBJECT, LAST):
            for answer in (NEW, OLD):
                values, best, count = by_hand(plain_case, t, place, answer)
                rows = [
                    row
                    for row in found.tables["lens"]
                    if (row["round"], row["place"], row["answer"]) == (t, place, answer)
                ]
                assert [row["layer"] for row in rows] == [0, 1, 2, 3]
                assert [row["probability"] for row in rows] == pytest.approx(values.tolist(), abs=1e-10)
                assert [row["likeliest"] for row in rows] == pytest.approx(best.tolist(), abs=1e-12)
                assert {row["facts"] for row in rows} == {count}
                assert all(row["low"] <= row["probability"] <= row["high"] for row in rows)


def test_edits_show_above_the_edited_layers(found, plain_case):
    def at(layer):
        own = [row for row in found.tables["lens"] if row["layer"] == layer and row["answer"] == NEW]
        return {row["probability"] for row in own if row["place"] == LAST}

    assert len(at(0)) == 1  # layers 1 and 2 are edited: nothing changes after layer 0
    assert len(at(3)) == 3


def test_the_curves_draw_the_table(found):
    rows = [{"lane": "a", **row} for row in found.tables["lens"]]
    figure = charted(found.charts[0].as_dict(), rows)
    curves = [trace for trace in figure.data if trace.name in (NEW, OLD) and trace.fill is None]
    assert len(curves) == 2 * 2 * 3  # answers, places, rounds
    first = [r["probability"] for r in rows if r["where"] == rows[0]["where"] and r["answer"] == NEW]
    assert list(curves[0].y) == first


def test_what_averages_leave_out_is_told(found, plain_case):
    assert "1 of 9 facts have no other old object: they count for the new one only" in found.notes
    same = [replace(fact, truth=f"{fact.target} or", prompt="The river is {}") for fact in plain_case.facts]
    notes = Lens().run(replace(plain_case, facts=same), [0]).notes
    assert "of 9 of 9 facts both objects begin with the same token" in notes
    assert "9 of 9 prompts end with their subject: both places are the same token there" in notes
