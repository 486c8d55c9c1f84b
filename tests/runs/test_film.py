"""A prompt asked at every measured round: while the run goes on, and afterwards."""

import pytest

from core.errors import UserError
from core.measures.config import MeasureConfig
from core.runs.opened.film import evenly, film
from core.runs.opened.run import OpenedRun
from core.runs.spec.run_spec import RunSpec
from tests.runs.at_work import LITTLE, answered, kinds, queued, status

PROMPTS = ["France was born in", "Italy was born in"]


def test_rounds_are_chosen_evenly():
    assert evenly([0, 5, 7]) == [0, 5, 7]
    found = evenly(list(range(100)), 5)
    assert found == [0, 25, 50, 74, 99]


@pytest.mark.parametrize(
    "probes, message", [(["a"] * 7, "probes"), ([""], "probes"), (["a" * 201], "probes"), ("a", "probes")]
)
def test_few_and_short_prompts_can_be_saved(make_spec, probes, message):
    with pytest.raises(UserError, match=message):
        RunSpec.from_dict(make_spec(measure=LITTLE | {"probes": probes}))
    assert MeasureConfig(probes=[" a "]).probes == ["a"]


def test_every_measured_round_is_asked_and_a_film_says_the_same(store, make_spec, working):
    run = queued(store, make_spec(round_size=3, measure=LITTLE | {"probes": PROMPTS}))
    status(store, run, "done")
    said = {(event["lane"], event["round"]): event["probes"] for event in kinds(store, run, "measured")}
    assert {place[1] for place in said} == {0, 1, 2}
    assert all([row["prompt"] for row in rows] == PROMPTS for rows in said.values())
    assert len({str(rows) for rows in said.values()}) > 1
    for lane in ("plain", "guarded"):
        found = answered(store, store.command(run, "film", {"prompt": PROMPTS[1], "lane": lane}))
        assert found.state == "done", found.answer
        assert {at["round"]: at["text"] for at in found.answer["rounds"]} == {
            number: said[lane, number][1]["text"] for number in (0, 1, 2)
        }
    here = OpenedRun(store.get(run).folder, working.laboratory)
    for payload, message in (({"prompt": " "}, "1 to 200"), ({"prompt": "a", "lane": "plane"}, "did you mean")):
        with pytest.raises(UserError, match=message):
            film(here, payload)
