"""Text that a model writes itself: the same for a seed, whole batches, resumed, other texts by another seed."""

import pytest
import torch

from core.editing.statistics import written
from core.editing.statistics.written import Begun, nucleus, written_corpus

TOKENS = 600


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setitem(written.ROWS, "cpu", 8)
    monkeypatch.setattr(written, "LENGTH", 24)


def counted(lm, corpus):
    return sum(len(lm.encode(text)) for text in corpus.texts())


def test_a_seed_gives_the_same_text_with_at_least_so_many_tokens(lm, tmp_path):
    first = written_corpus(tmp_path / "one", lm, TOKENS)
    again = written_corpus(tmp_path / "two", lm, TOKENS)
    assert first.name == again.name
    assert list(first.texts()) == list(again.texts())
    assert counted(lm, first) >= TOKENS
    assert len(set(first.texts())) > 10
    assert written_corpus(tmp_path / "one", lm, TOKENS, seed=1).name != first.name


def test_more_tokens_go_on_where_fewer_ended_and_what_is_there_is_not_written_again(lm, tmp_path, monkeypatch):
    few = list(written_corpus(tmp_path, lm, TOKENS).texts())
    more = list(written_corpus(tmp_path, lm, 2 * TOKENS).texts())
    assert more[: len(few)] == few
    monkeypatch.setattr(written, "written", None)  # it would be called
    assert list(written_corpus(tmp_path, lm, 2 * TOKENS).texts()) == more


def test_who_is_stopped_loses_one_batch_and_goes_on_to_the_same_text(lm, tmp_path):
    whole = written_corpus(tmp_path / "whole", lm, TOKENS)
    steps = []

    def stop():
        steps.append(1)
        if len(steps) == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written_corpus(tmp_path / "parts", lm, TOKENS, heartbeat=stop)
    kept = sorted(path.name for path in (tmp_path / "parts").rglob("*.*"))
    assert kept == ["0000.json"]
    assert written_corpus(tmp_path / "parts", lm, TOKENS).name == whole.name


def test_a_damaged_batch_is_written_again(lm, tmp_path):
    name = written_corpus(tmp_path, lm, TOKENS).name
    next(tmp_path.rglob("0001.json")).write_text('{"texts": ["The')
    assert written_corpus(tmp_path, lm, TOKENS).name == name


def test_progress_rises_to_the_total_and_estimates_the_rest(lm, tmp_path):
    told = []
    written_corpus(tmp_path, lm, TOKENS, progress=told.append)
    done = [state.done for state in told]
    assert done == sorted(done)
    assert done[-1] > TOKENS / 2
    assert {state.total for state in told} == {TOKENS}
    assert told[0].seconds_left is None
    assert told[-1].seconds_left >= 0
    assert "The unedited model writes 600 tokens" in told[-1].message


def test_the_time_left_is_that_of_whole_batches(monkeypatch):
    """600 tokens are asked, and batches of 256 tokens: the third one is written to its end."""
    told = []
    monkeypatch.setattr(written.time, "monotonic", lambda: 60.0)
    for grown in (0, 128, 240):
        written.tell(None, told.append, Begun(0, 0.0), 512, 768, 600, grown)
    assert [state.done for state in told] == [400, 500, 587]
    assert [state.seconds_left for state in told] == [pytest.approx(60 / (512 + n) * (256 - n)) for n in (0, 128, 240)]


def test_the_nucleus_holds_so_much_of_the_probability():
    shares = torch.tensor([[0.6, 0.3, 0.06, 0.04], [0.97, 0.01, 0.01, 0.01]])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([nucleus(shares.log(), generator) for _ in range(4000)])
    counts = torch.stack([torch.bincount(column, minlength=4) for column in drawn.T]) / 4000
    # .6 + .3 = .9 < .95, so the third belongs to it and the fourth does not; in the second row the first is enough.
    expected = torch.tensor([[0.625, 0.3125, 0.0625, 0.0], [1.0, 0.0, 0.0, 0.0]])
    assert torch.allclose(counts, expected, atol=0.03)
