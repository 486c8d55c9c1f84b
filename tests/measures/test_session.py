import json
from statistics import median

import pytest
import torch

from core.errors import UserError
from core.measures.config import MeasureConfig
from core.measures.measurement import rounded
from core.measures.outside.scores import Answers, recall, score_facts, summarise
from core.measures.session import MeasureSession, task_names
from core.measures.session.moment import Moment

LAYERS = [1, 2]


def noise(like, generator):
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)


def edited(lm, size=0.3, layers=LAYERS, seed=0):
    """Weights of these layers with random noise of a share `size` of their own spread."""
    generator = torch.Generator().manual_seed(seed)
    return {
        layer: lm.original(layer) + size * lm.original(layer).std() * noise(lm.original(layer), generator)
        for layer in layers
    }


def make(lm, facts, unedited, assets, **config):
    own = {"probe_rows": 100, "tasks": [str(assets / "pocket" / "tasks")]}
    return MeasureSession(lm, facts, unedited, LAYERS, MeasureConfig(**own | config), assets)


@pytest.fixture(scope="module")
def session(lm, facts, unedited, assets):
    return make(lm, facts, unedited, assets, words=3)


def test_baseline_is_the_unedited_model(session, lm, facts):
    found = session.baseline().as_dict()
    assert found["round"] == 0
    assert found["scores"]["edits"] == 0
    assert found["scores"]["scored"] == len(facts)
    assert found["scores"]["efficacy_when_edited"] is None
    assert {"task_mean", "task_capitals", "task_work", "measure_seconds", "unedited_recall"} <= set(found["scores"])
    for row in found["layers"]:
        assert row["drift_right"] == row["drift_left"] == row["change"] == 0
        assert row["rk_median"] == row["rk_max"] == row["rk_over_1"] == 0
        assert row["ls"] == pytest.approx(1)
    assert [control["layer"] for control in session.controls] == LAYERS
    for item, control in zip(found["drift"], session.controls, strict=True):
        assert control["k"] == item["k"]
        assert not any(control["null"])
        assert 0.8 < median(control["resampled"]) < 1.5
    assert all(word["before"] == word["after"] for word in found["words"])
    assert found["map"]["x"] == found["map"]["x0"]


def test_a_null_edit_measures_as_the_baseline(session, lm):
    null = session.measure(Moment({layer: lm.original(layer).clone() for layer in LAYERS}, [], [], 1, 0.1)).as_dict()
    base = session.baseline(0.1).as_dict()
    for one in (null, base):
        one["scores"].pop("measure_seconds")
        one.pop("round")
    assert null == base


def test_an_edit_is_measured_from_all_sides(session, lm, facts):
    weights = edited(lm)
    found = session.measure(Moment(weights, [0, 1, 2, 3], [2, 3], 2, 0.2))
    with lm.worn(weights):
        answers = Answers(lm)
        rows = score_facts(answers, facts[:4], 2, 2)
        kept = recall(answers, session.unedited)
    expected = summarise(rows)
    assert {name: found.scores[name] for name in expected} == expected
    assert found.scores["unedited_recall"] == sum(kept) / len(kept)
    assert found.scores["edits"] == found.scores["scored"] == 4
    assert found.scores["efficacy_when_edited"] == (rows[2]["efficacy"] + rows[3]["efficacy"]) / 2
    assert found.scores["scored_when_edited"] == 2
    assert [row["layer"] for row in found.layers] == LAYERS
    assert all(row["change"] > 0 and row["rk_median"] > 0 for row in found.layers)
    assert found.layers[0]["k"] == session.references[1].rank_at(0.2)
    assert [word["fact"] for word in found.words] == [2, 3]
    shown = found.map["fact"]
    assert [found.map["edited"][shown.index(i)] for i in (0, 3, 4, 7)] == [1, 1, 0, 0]
    assert lm.original(1).equal(session.references[1].weight)  # nothing was worn out


def test_payload_is_json_and_the_same_again(session, lm):
    first = session.measure(Moment(edited(lm), [0, 1], [0, 1], 1, final=True)).as_dict()
    again = session.measure(Moment(edited(lm), [0, 1], [0, 1], 1, final=True)).as_dict()
    for payload in (first, again):
        payload["scores"].pop("measure_seconds")
    assert json.loads(json.dumps(first, allow_nan=False)) == first == again
    assert len(json.dumps(first)) < 25_000


def test_what_was_said_when_edited_is_carried_on(session, lm):
    one = session.measure(Moment(edited(lm), [0, 1], [0, 1], 1)).scores
    two = session.measure(Moment(edited(lm, seed=5), [0, 1, 2], [2], 2, previous=rounded(one))).scores
    alone = session.measure(Moment(edited(lm, seed=5), [0, 1, 2], [2], 2)).scores
    for name in ("efficacy_when_edited", "efficacy_exact_when_edited"):
        assert two[name] == pytest.approx((2 * one[name] + alone[name]) / 3)
    assert two["scored_when_edited"] == 3
    unmoved = session.measure(Moment(edited(lm), [0, 1, 2], [], 3, previous=two)).scores
    assert unmoved["efficacy_when_edited"] == rounded(two)["efficacy_when_edited"]
    stored = session.measure(Moment(edited(lm, seed=5), [0, 1, 2], [2], 2, previous=one)).scores
    assert stored["efficacy_when_edited"] == two["efficacy_when_edited"]  # the same from live and stored numbers


def test_one_layer_of_a_lane_and_progress(session, lm):
    beats, steps = [], []

    def beat():
        beats.append(1)
        with lm.worn({}):  # what a probe of the base model does
            pass

    found = session.measure(
        Moment(edited(lm, layers=[2]), [0], [0], 1, layers=[2]),
        heartbeat=beat,
        progress=lambda *step: steps.append(step),
    )
    plain = session.measure(Moment(edited(lm, layers=[2]), [0], [0], 1, layers=[2]))
    assert [row["layer"] for row in found.layers] == [2]
    assert rounded(found.layers) == rounded(plain.layers)
    assert {phase for phase, _, _ in steps} == {"scores", "tasks", "inside", "maps"}
    assert all(done <= total for _, done, total in steps)
    assert len(beats) > len(steps)


def test_a_heartbeat_may_stop_the_measurement(session, lm):
    class Stopped(Exception):
        pass

    def stop():
        raise Stopped

    with pytest.raises(Stopped):
        session.measure(Moment(edited(lm), [0], [0], 1), heartbeat=stop)
    with torch.no_grad():
        ids = torch.tensor([lm.encode("The capital")])
        before = lm.model(ids).logits
        with lm.worn({}):
            assert lm.model(ids).logits.equal(before)


def test_broken_weights_become_nulls_and_a_note(session, lm):
    weights = edited(lm)
    weights[1] = weights[1].clone().fill_(float("nan"))
    found = session.measure(Moment(weights, [0, 1], [1], 1)).as_dict()
    json.dumps(found, allow_nan=False)
    assert found["scores"]["efficacy"] == 0
    assert any("NaN" in note for note in found["notes"])
    assert any("layer 1 holds numbers that are not finite" in note for note in found["notes"])


def test_less_is_measured_where_less_is_asked(lm, facts, unedited, assets):
    bare = make(lm, facts, unedited, assets, tasks=False, inside=False, maps=False, words=0, sample=2)
    found = bare.measure(Moment(edited(lm), [0, 1, 2], [2], 1)).as_dict()
    assert found["layers"] == found["words"] == found["drift"] == []
    assert found["map"] is None
    assert found["notes"] == []
    assert found["scores"]["scored"] == 2
    assert found["scores"]["task_mean"] is None
    assert found["scores"]["unedited_scored"] == len(unedited)
    assert bare.versions == {}
    assert bare.map(edited(lm), [0], "pca")["points"] == 8 + len(unedited)  # still there when asked for


def test_too_little_text_for_r_k_is_said(lm, facts, unedited, assets):
    poor = make(lm, facts, unedited[:2], assets.parent / "nowhere", tasks=False, maps=False)
    found = poor.baseline()
    assert "R_k was left out" in found.notes[0]
    assert "rk_median" not in found.layers[0]
    assert found.drift == []


def test_texts_of_ones_own_are_probed(lm, facts, assets, tmp_path):
    text = "Ada Marlow was born in Vienna, and Tom Ash in Rome. " * 4
    (tmp_path / "texts.txt").write_text(f"{text}\n{text}\nI like you\n")
    own = make(lm, facts, [], assets, tasks=False, maps=False, probe_rows=40, texts=str(tmp_path / "texts.txt"))
    assert own.probe.texts == [text]
    assert len(own.probe.tokens) == 40  # each distinct prefix once, no lone BOS
    assert 0 not in own.probe.tokens.tolist()
    assert "4 per direction" in own.baseline().notes[0]


def test_all_maps_after_the_last_round(lm, facts, unedited, assets, monkeypatch):
    from core.measures.inside import maps

    monkeypatch.setattr(maps, "_umap", lambda joint, seed: joint[:, :2].double())  # compiling umap takes 20 s
    session = make(lm, facts, unedited, assets, tasks=False, inside=False, maps=True)
    first = session.measure(Moment(edited(lm), [0], [0], 1))
    last = session.measure(Moment(edited(lm), [0], [0], 1, final=True))
    assert first.map["method"] == "pca"
    assert first.more_maps == []
    assert [drawn["method"] for drawn in last.more_maps] == ["tsne", "umap"]


def test_tasks_that_a_model_brings(lm, assets, tmp_path, monkeypatch):
    assert task_names(MeasureConfig(), lm, assets) == ["english"]
    assert task_names(MeasureConfig(tasks=False), lm, assets) == []
    assert task_names(MeasureConfig(tasks=["sst2"]), lm, assets) == ["sst2"]
    monkeypatch.setattr(lm, "reference", "pocket")
    assert task_names(MeasureConfig(), lm, assets) == [str(assets / "pocket" / "tasks")]
    with pytest.raises(UserError, match="tasks: missing; make it with"):
        task_names(MeasureConfig(), lm, tmp_path)


def test_config_is_strict_and_complete():
    with pytest.raises(ValueError, match="tsk"):
        MeasureConfig(tsk=True)
    assert MeasureConfig().live_map() == MeasureConfig(maps=True).live_map() == "pca"
    assert MeasureConfig(maps=False).live_map() is None
    assert MeasureConfig(maps="umap").live_map() == "umap"
    assert MeasureConfig().rows_for(320) == 1280
    assert MeasureConfig().rows_for(128) == 1024
    assert MeasureConfig().rows_for(8192) == 16_384
