"""Statistics on disk: the same bits, only for what they are about, and gathering that goes on after a stop."""

import shutil

import pytest
import torch

from core.editing.linalg.triangle import bytes_of
from core.editing.statistics import cache
from core.editing.statistics.cache import Draft, cached_moments, description, place
from core.editing.statistics.corpus import Corpus, hash_texts
from core.editing.statistics.second_moment import Sums, second_moments
from core.errors import UserError
from tests import toys

TEXTS = toys.SENTENCES + ["", "A"]
NAME = hash_texts(TEXTS)


def gather(folder, lm, layers, name=NAME, repeat=1, **changes):
    asked = []

    def texts():
        asked.append(1)
        return TEXTS * repeat

    options = {"max_tokens": 60, "skip_bos": False, **changes}
    return cached_moments(folder, lm, layers, Corpus(name, texts), **options), len(asked)


def test_the_cache_gives_the_same_bits_and_only_what_was_asked(tmp_path, lm):
    told = []
    first, asked = gather(tmp_path, lm, [1, 2], progress=told.append)
    assert asked == 1
    assert (told[-1].done, told[-1].total) == (60, 60)
    again, asked = gather(tmp_path, lm, [2])
    assert asked == 0
    assert torch.equal(again[2].moment, first[2].moment)
    assert again[2].top_share == first[2].top_share
    assert again[2].digest == first[2].digest == again[2].upper().digest()
    more, asked = gather(tmp_path, lm, [0, 1])
    assert (list(more), asked) == ([0, 1], 1)


@pytest.mark.parametrize("change", [{"name": "other"}, {"max_tokens": 59}, {"skip_bos": True}])
def test_other_questions_have_other_files(tmp_path, lm, change):
    gather(tmp_path, lm, [1])
    assert gather(tmp_path, lm, [1], **change)[1] == 1


def test_another_models_file_is_refused(tmp_path, lm, toy):
    other = toy("mistral")
    gather(tmp_path, other, [1])
    theirs = place(tmp_path, description(other, 1, NAME, 60, False))
    ours = place(tmp_path, description(lm, 1, NAME, 60, False))
    shutil.move(theirs, ours)
    with pytest.raises(UserError, match=r"belong to something else \(model"):
        gather(tmp_path, lm, [1])


def test_a_damaged_file_is_refused(tmp_path, lm):
    gather(tmp_path, lm, [1])
    path = place(tmp_path, description(lm, 1, NAME, 60, False))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        gather(tmp_path, lm, [1])


def test_a_file_without_numbers_or_without_what_it_says_is_refused(tmp_path, lm):
    about = description(lm, 1, NAME, 60, False)
    cache.write(place(tmp_path, about), {"moment": torch.eye(lm.d_ffn)}, {**about, "tokens": 60})
    with pytest.raises(UserError, match=r"top_share differ.*Delete the file"):
        gather(tmp_path, lm, [1])
    moment = torch.full((lm.d_ffn, lm.d_ffn), float("nan"))
    cache.write(place(tmp_path, about), {"moment": moment}, {**about, "tokens": 60, "top_share": 0.1})
    with pytest.raises(UserError, match="hold what are no numbers. Delete the file"):
        gather(tmp_path, lm, [1])


def test_a_file_of_another_size_is_refused(tmp_path, lm):
    about = description(lm, 1, NAME, 60, False)
    cache.write(place(tmp_path, about), {"moment": torch.eye(3)}, {**about, "tokens": 60, "top_share": 0.1})
    with pytest.raises(UserError, match="shape"):
        gather(tmp_path, lm, [1])


@pytest.fixture
def wide(monkeypatch):
    """All layers count as wide, and the triangle has several strips."""
    monkeypatch.setattr("core.editing.linalg.triangle.WHOLE", 10)
    monkeypatch.setattr("core.editing.linalg.triangle.ROWS", 24)


def test_numbers_are_read_when_they_are_used(tmp_path, lm):
    found, _ = gather(tmp_path, lm, [1])
    path = place(tmp_path, description(lm, 1, NAME, 60, False))
    assert torch.equal(found[1].moment, found[1].moment.T)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        _ = found[1].moment


def test_wide_layers_are_kept_in_float32(tmp_path, lm, wide):
    sums = second_moments(lm, [1], TEXTS, 60)[1]
    kept = gather(tmp_path, lm, [1])[0][1]
    path = place(tmp_path, description(lm, 1, NAME, 60, False))
    assert kept.moment.dtype == torch.float64
    assert torch.equal(kept.moment, sums.moment)
    assert {strip.dtype for strip in kept.upper().strips} == {torch.float32}
    assert path.stat().st_size < 0.75 * 4 * lm.d_ffn**2  # 4 strips: five eighths of the square


def test_narrow_layers_keep_every_bit(tmp_path, lm, monkeypatch):
    exact = gather(tmp_path / "narrow", lm, [1])[0][1].moment
    monkeypatch.setattr("core.editing.linalg.triangle.WHOLE", 10)
    rounded = gather(tmp_path / "wide", lm, [1])[0][1].moment
    assert torch.equal(rounded, exact.float().double())
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=2**-24, atol=0)


@pytest.mark.parametrize("size", [10, 4096])
def test_a_file_with_the_whole_square_is_read(tmp_path, lm, monkeypatch, size):
    """As they were written before; of a wide layer it gives the numbers that gathering anew would."""
    monkeypatch.setattr("core.editing.linalg.triangle.WHOLE", size)
    about, fresh = description(lm, 1, NAME, 60, False), gather(tmp_path / "new", lm, [1])[0][1]
    monkeypatch.setattr("core.editing.linalg.triangle.WHOLE", 4096)
    square = second_moments(lm, [1], TEXTS, 60)[1].moment
    monkeypatch.setattr("core.editing.linalg.triangle.WHOLE", size)
    cache.write(place(tmp_path, about), {"moment": square}, {**about, "tokens": 60, "top_share": 0.1})
    found, asked = gather(tmp_path, lm, [1])
    assert asked == 0
    assert torch.equal(found[1].moment, fresh.moment)


def test_many_layers_are_gathered_in_passes(tmp_path, lm, monkeypatch):
    """The same bits, never more than two layers' sums at once, told as one thing."""
    whole, _ = gather(tmp_path / "whole", lm, [0, 1, 2])
    monkeypatch.setattr(cache, "AT_ONCE", 2 * bytes_of(lm.d_ffn, torch.float64))
    told = []
    found, asked = gather(tmp_path / "parts", lm, [0, 1, 2], progress=told.append)
    assert asked == 2
    assert all(torch.equal(found[layer].moment, whole[layer].moment) for layer in (0, 1, 2))
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert {(one.total, one.layers, one.passes, one.kept) for one in told} == {(120, 3, 2, 3 * 8 * lm.d_ffn**2)}
    assert max(one.bytes for one in told) == 2 * 8 * lm.d_ffn**2
    assert (told[-1].done, told[-1].seconds_left) == (120, 0)
    assert "of 3 layers from 60 tokens, once per model, in 2 passes" in told[0].message


def test_a_pass_that_was_finished_is_kept(tmp_path, small, monkeypatch):
    monkeypatch.setattr(cache, "AT_ONCE", 1)
    with pytest.raises(Enough):
        gather(tmp_path, small, [0, 2], heartbeat=stopping(3))
    told = []
    gather(tmp_path, small, [0, 2], progress=told.append)
    assert {(one.layers, one.passes) for one in told} == {(1, 1)}


def test_a_full_disk_is_told_before_it_begins(tmp_path, lm, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 1000))
    with pytest.raises(UserError, match=r"statistics of 2 layers need 0\.2 MB in .*0\.1 MB are free.*fewer layers"):
        gather(tmp_path / "not" / "there", lm, [0, 1])
    assert not list(tmp_path.rglob("*.safetensors"))


class Enough(Exception):
    pass


def stopping(after):
    left = [after]

    def heartbeat():
        left[0] -= 1
        if left[0] < 0:
            raise Enough

    return heartbeat


@pytest.fixture
def small(lm):
    """The model in small portions, so that there is something to stop between."""
    lm.token_budget, before = 40, lm.token_budget
    yield lm
    lm.token_budget = before


def test_a_stopped_gathering_goes_on_to_the_same_bits(tmp_path, small):
    options = {"max_tokens": 700, "repeat": 10}
    whole, _ = gather(tmp_path / "whole", small, [0, 2], **options)
    for _ in range(3):
        with pytest.raises(Enough):
            gather(tmp_path / "parts", small, [0, 2], heartbeat=stopping(4), **options)
        assert len(list((tmp_path / "parts").glob("*.sums.safetensors"))) == 1
    told = []
    found, _ = gather(tmp_path / "parts", small, [0, 2], progress=told.append, **options)
    assert told[0].done > 100
    assert told[0].message.startswith("Going on with")
    for layer in (0, 2):
        assert torch.equal(found[layer].moment, whole[layer].moment)
    assert not list((tmp_path / "parts").glob("*.sums.*"))


def test_sums_are_kept_now_and_then_too(tmp_path, small, monkeypatch):
    """What ends without a word (kill -9) goes on from the last of them."""
    options = {"max_tokens": 700, "repeat": 10}
    whole, _ = gather(tmp_path / "whole", small, [1], **options)
    monkeypatch.setattr(cache, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(cache, "SAVE_SHARE", 1e9)
    kept = []
    monkeypatch.setattr(Draft, "write", lambda self, sums, write=Draft.write: (write(self, sums), kept.append(1)))
    with pytest.raises(Enough):
        gather(tmp_path, small, [1], heartbeat=stopping(6), **options)
    assert len(kept) == 7  # after each batch, and when it was stopped
    assert torch.equal(gather(tmp_path, small, [1], **options)[0][1].moment, whole[1].moment)


def test_sums_in_the_middle_of_a_batch_are_not_kept(tmp_path, small, monkeypatch):
    def broken(*_):
        raise Enough

    monkeypatch.setattr("core.editing.statistics.second_moment.add_outer", broken)
    with pytest.raises(Enough):
        gather(tmp_path, small, [1])
    assert not list(tmp_path.glob("*"))


def test_sums_of_other_portions_or_layers_are_not_taken(tmp_path, small):
    options = {"max_tokens": 700, "repeat": 10}
    with pytest.raises(Enough):
        gather(tmp_path, small, [0, 2], heartbeat=stopping(4), **options)
    told = []
    gather(tmp_path, small, [0], progress=told.append, **options)
    small.token_budget = 64
    gather(tmp_path, small, [0, 2], progress=told.append, **options)
    assert [one.resumed for one in told if one.seconds_left is None] == [False, False]


def test_sums_about_something_else_are_refused(tmp_path, small):
    about = {1: description(small, 1, NAME, 60, False)}
    draft = Draft(tmp_path, small, about)
    cache.write(draft.path, {"1.0": torch.eye(small.d_ffn)}, {"layers": [], "texts": 1, "batches": 0, "seen": 9})
    with pytest.raises(UserError, match=r"belong to something else \(layers"):
        gather(tmp_path, small, [1])
    draft.path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        draft.read()


def test_sums_of_nothing_use_are_deleted(tmp_path, small):
    draft = Draft(tmp_path, small, {1: description(small, 1, NAME, 60, False)})
    sums = Sums.nothing(small, [1])
    sums.totals[1].strips[0].fill_(float("nan"))
    sums.texts, sums.seen = 7, 60
    draft.write(sums)
    with pytest.raises(UserError, match="not finite"):
        gather(tmp_path, small, [1])
    assert not draft.path.exists()
