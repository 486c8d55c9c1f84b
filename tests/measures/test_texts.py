import re

import pytest
import torch

from core.editing.statistics.corpus import Corpus
from core.errors import UserError
from core.measures.config import MeasureConfig, ReadDataset
from core.measures.inside.probe_states import Probe
from core.measures.outside.texts import first_texts, texts_for
from core.measures.session import MeasureSession
from core.models.loading import load_model
from tests import toys

SAID = ["The capital of France is Paris.", "The capital of Italy is Rome."]


def pocket(lm, monkeypatch):
    monkeypatch.setattr(lm, "reference", "pocket")
    return lm


def test_another_model_is_never_read_on_the_pocket_world(lm, unedited, assets):
    found = texts_for(lm, MeasureConfig(), unedited[:2], assets)
    assert list(found.drift) == SAID
    assert found.drift_name == "statements of 2 facts that no edit concerns"
    assert not found.prose
    assert not {*found.drift} & {*toys.SENTENCES}


def test_the_pocket_model_is_read_on_what_it_was_held_out_of(lm, unedited, assets, monkeypatch):
    found = texts_for(pocket(lm, monkeypatch), MeasureConfig(), unedited[:2], assets)
    assert list(found.drift) == SAID + toys.SENTENCES
    assert list(found.prose) == toys.SENTENCES
    assert found.prose_name == "held-out sentences of the pocket world"
    assert found.drift_name.endswith("then held-out sentences of the pocket world")


def test_a_text_file_is_read_and_named_without_its_place(lm, unedited, assets, tmp_path):
    file = tmp_path / "prose.txt"
    file.write_text("".join(f"Line {i} of the sea.\n\n" for i in range(500)), encoding="utf-8")
    found = texts_for(lm, MeasureConfig(texts=str(file), probe_rows=40), unedited, assets)
    assert found.drift == found.prose
    assert found.drift[0] == "Line 0 of the sea."
    assert sum(len(lm.encode(text)) for text in found.drift[:-1]) < 256 <= sum(len(lm.encode(t)) for t in found.drift)
    assert found.drift_name == found.prose_name
    assert re.fullmatch(r"the text file prose\.txt \([0-9a-f]{8}\)", found.drift_name)  # the start of its hash


def test_a_dataset_and_statements(lm, unedited, assets, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "some.jsonl").write_text('{"said": "The sea."}\n{"said": "The river."}\n')
    asked = MeasureConfig(texts={"dataset": str(tmp_path / "rows"), "column": "said"})
    assert asked.texts == ReadDataset(dataset=str(tmp_path / "rows"), column="said")
    found = texts_for(lm, asked, unedited, assets)
    assert list(found.drift) == ["The sea.", "The river."]
    assert found.drift_name == "the dataset rows, train"
    assert list(texts_for(lm, MeasureConfig(texts="statements"), unedited[:2], assets).prose) == SAID


def test_what_cannot_be_read_is_told_at_its_field(lm, unedited, assets, tmp_path):
    for texts in (str(tmp_path / "nowhere.txt"), {"dataset": str(tmp_path / "nowhere")}):
        with pytest.raises(UserError, match=r"measure\.texts: .*nowhere"):
            texts_for(lm, MeasureConfig(texts=texts), unedited, assets)
    with pytest.raises(ValueError, match="colum"):
        MeasureConfig(texts={"dataset": "a/b", "colum": "text"})


def test_no_more_is_taken_than_is_wanted(lm):
    def lines():
        yield from ("The sea.", "The river.")
        raise AssertionError("read on")

    assert first_texts(lm, lines(), len(lm.encode("The sea.")) + 1) == ["The sea.", "The river."]


def made(lm, facts, unedited, assets, **config):
    return MeasureSession(
        lm, facts, unedited, [1, 2], MeasureConfig(tasks=False, maps=False, words=0, **config), assets
    )


def test_what_was_read_is_stated_and_what_was_not_says_why(lm, facts, unedited, assets):
    session = made(lm, facts, unedited, assets, probe_rows=60)
    assert session.reads == {"drift": "60 tokens of statements of 12 facts that no edit concerns"}
    assert session.lacking == {
        "perplexity": "The perplexity is not measured: there is no general text for this model; give measure.texts in"
        " the spec: a text file, or a dataset."
    }
    assert "perplexity" not in session.baseline().scores
    chosen = made(lm, facts, unedited, assets, probe_rows=60, texts="statements", perplexity=30)
    assert chosen.reads["perplexity"] == "30 tokens of statements of 12 facts that no edit concerns"
    assert chosen.baseline().scores["perplexity"] > 1
    assert chosen.lacking == {}
    poor = made(lm, facts, unedited[:1], assets, perplexity=0)
    assert poor.reads == {}
    assert poor.lacking == {"drift": f"{poor.probe}."}
    assert "give measure.texts" in poor.lacking["drift"]
    assert made(lm, facts, unedited, assets, perplexity=0, inside=False).lacking == {}


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """A model in bfloat16, and the same numbers in float32."""
    folder = toys.tiny_llama(tmp_path_factory.mktemp("llama"))
    narrow = load_model(str(folder), device="cpu", dtype="bfloat16")
    narrow.model.save_pretrained(folder / "narrow")
    narrow.tokenizer.save_pretrained(folder / "narrow")
    return narrow, load_model(str(folder / "narrow"), device="cpu", dtype="float32")


def test_rounding_to_a_narrow_type_does_not_pass_for_drift(twins):
    """A tiny edit of two layers: R_k of the bfloat16 model is that of the same model in float32."""
    generator = torch.Generator().manual_seed(0)
    edits = {
        layer: twins[1].original(layer)
        + 1e-5 * twins[1].original(layer).std() * torch.randn(twins[1].original(layer).shape, generator=generator)
        for layer in (1, 2)
    }
    medians = {}
    for lm in twins:
        probe = Probe.build(lm, [1, 2], toys.SENTENCES, 64)
        assert not any(float(values.abs().max()) for values in probe.null_edit.values())
        for layer, states in probe.read(edits, [1, 2]).items():
            medians[lm.dtype, layer] = float(probe.r_k(layer, states).median())
    for layer in (1, 2):
        assert medians[torch.bfloat16, layer] == pytest.approx(medians[torch.float32, layer], rel=0.2)
    said = Probe.build(twins[0], [1, 2], toys.SENTENCES, 64).about("texts")
    assert said == "64 tokens of texts; layers 1 to 2 computed in float32, the edits not rounded to bfloat16"
    assert Probe.build(twins[1], [1, 2], toys.SENTENCES, 64).about("texts") == "64 tokens of texts"


def test_a_real_model_is_read_on_text_that_it_wrote_itself(lm, facts, unedited, assets):
    asked = []

    def write(tokens):
        asked.append(tokens)
        return Corpus("own", lambda: ["The sea is wide.", "The river runs to the sea."] * 20)

    session = MeasureSession(
        lm, facts, unedited, [1, 2], MeasureConfig(tasks=False, maps=False, words=0, probe_rows=60), assets, write=write
    )
    assert asked == [256]  # the perplexity's; R_k needs fewer
    assert session.lacking == {}
    assert session.reads["perplexity"] == "256 tokens of text that the unedited model itself sampled"
    assert "then text that the unedited model itself sampled" in session.reads["drift"]
    assert session.baseline().scores["perplexity"] > 1
    nothing = MeasureConfig(tasks=False, maps=False, words=0, perplexity=0, inside=False)
    MeasureSession(lm, facts, unedited, [1, 2], nothing, assets, write=write)
    assert len(asked) == 1
