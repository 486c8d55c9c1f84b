"""Second moments equal the dense formula, also when they were stopped on the way."""

import pytest
import torch

from core.editing.linalg.triangle import Triangle
from core.editing.statistics.second_moment import Gathering, Sums, add_outer, second_moments, top_share
from core.errors import UserError
from core.models.forward import token_activations
from tests import toys

TEXTS = toys.SENTENCES + ["", "A"]


def test_they_are_the_mean_of_outer_products(toy):
    lm = toy("gpt2", "float64")
    lm.token_budget = 64
    keys = token_activations(lm, TEXTS, [1], "key")[1]
    found = second_moments(lm, [1, 2], iter(TEXTS), 10**6)[1]
    torch.testing.assert_close(found.moment, keys.T @ keys / len(keys), rtol=1e-10, atol=1e-12)
    assert (found.tokens, found.layer) == (len(keys), 1)
    eigenvalues = torch.linalg.eigvalsh(found.moment)
    assert found.top_share == pytest.approx(float(eigenvalues[-1] / eigenvalues.sum()), rel=1e-3)


def test_exactly_as_many_tokens_as_asked(toy):
    lm = toy("gpt2", "float64")
    keys = token_activations(lm, TEXTS, [1], "key")[1][:30]
    found = second_moments(lm, [1], TEXTS, 30)[1]
    assert found.tokens == 30
    torch.testing.assert_close(found.moment, keys.T @ keys / 30, rtol=1e-10, atol=1e-12)


def test_the_first_token_can_be_left_out(toy):
    lm = toy("gpt2", "float64")
    lengths = [len(row) for row in lm.encode_all(TEXTS)]
    keys = token_activations(lm, TEXTS, [1], "key")[1].split(lengths)
    keys = torch.cat([part[1:] for part in keys])
    found = second_moments(lm, [1], TEXTS, 10**6, skip_bos=True)[1]
    assert found.tokens == len(keys)
    torch.testing.assert_close(found.moment, keys.T @ keys / len(keys), rtol=1e-10, atol=1e-12)


def test_the_unedited_model_is_looked_at(lm):
    plain = second_moments(lm, [1], TEXTS, 100)[1].moment
    with lm.worn({0: lm.original(0) * 3}):
        assert torch.equal(second_moments(lm, [1], TEXTS, 100)[1].moment, plain)


def test_no_texts(lm):
    with pytest.raises(UserError, match="no texts"):
        second_moments(lm, [1], [], 100)


def test_the_top_share_of_one_direction():
    assert top_share(torch.diag(torch.tensor([1e-9, 3.0, 1e-9], dtype=torch.float64))) == pytest.approx(1)


def test_sums_are_kept_in_float64():
    """Against a float32 total of 40,000 equal rows. Single products of up to 1024 rows are in the model's precision."""
    sums, row = Triangle.zeros(2, torch.float64), torch.tensor([0.1, 300.0])
    for _ in range(2000):
        add_outer(sums, row.expand(1, 20, 2), [20], 0)
    total = sums.square()
    torch.testing.assert_close(total, 40_000 * torch.outer(row, row).double(), rtol=1e-6, atol=0)
    plain = torch.zeros(2, 2)
    for _ in range(40_000):
        plain += torch.outer(row, row)
    wrong = abs(float(plain[0, 0]) / (40_000 * 0.01) - 1)
    assert abs(float(total[0, 0]) / (40_000 * 0.01) - 1) < wrong / 10


def test_blocks_of_columns_make_the_whole_triangle(monkeypatch):
    """Columns that the blocks do not divide, several blocks of rows; against one plain product in float64."""
    monkeypatch.setattr("core.editing.linalg.triangle.ROWS", 3)
    monkeypatch.setattr("core.editing.statistics.second_moment.ROWS_AT_ONCE", 5)
    states = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = Triangle.zeros(8, torch.float64)
    add_outer(total, states, [6, 4], 1)
    keys = torch.cat([states[0, 1:6], states[1, 1:4]])
    torch.testing.assert_close(total.square(), keys.T @ keys, rtol=1e-12, atol=1e-12)


def test_what_is_not_finite_is_told(lm):
    sums = Sums.nothing(lm, [2])
    sums.seen, sums.totals[2].strips[0][1, 1] = 5, float("inf")
    with pytest.raises(UserError, match=r"Layer 2.*not finite.*float32"):
        sums.moments()


class Enough(Exception):
    pass


@pytest.mark.parametrize("budget", [16, 48, 4096])
@pytest.mark.parametrize("beats", [1, 2, 5, 9])
def test_sums_that_were_stopped_go_on_to_the_same_bits(toy, beats, budget):
    """Stopped within a group of texts and between two; with and without the start-of-text token."""
    lm = toy("llama")
    lm.token_budget, before = budget, lm.token_budget
    texts, skip = TEXTS * 20, beats % 2 == 0
    whole = second_moments(lm, [0, 2], texts, 2000, skip)
    sums, left = Sums.nothing(lm, [0, 2]), beats

    def heartbeat() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Enough

    stops = 0
    while True:
        try:
            found = second_moments(lm, [0, 2], iter(texts), 2000, skip, heartbeat, sums=sums)
            break
        except Enough:
            assert sums.whole
            stops, left = stops + 1, beats
    lm.token_budget = before
    assert stops > 0 or budget == 4096
    assert found[2].tokens == whole[2].tokens == min(2000, found[2].tokens)
    for layer in (0, 2):
        assert torch.equal(found[layer].moment, whole[layer].moment)


def test_it_is_told_before_it_starts_and_on_the_way(lm):
    told: list[Gathering] = []
    lm.token_budget, before = 100, lm.token_budget
    second_moments(lm, [0, 1], TEXTS * 9, 600, progress=told.append)
    lm.token_budget = before
    first, second, last = told[0], told[1], told[-1]
    assert (first.done, first.total, first.seconds_left) == (0, 600, None)
    assert first.bytes == first.kept == 2 * 8 * lm.d_ffn**2  # of one strip
    assert first.message.startswith(
        "Gathering the statistics of 2 layers from 600 tokens, once per model: 0.1 MB of memory,"
    )
    assert "first batch" in first.message
    assert second.done > 0
    assert second.seconds_left > 0
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert (last.done, last.seconds_left) == (600, 0)
    assert second.estimate == last.estimate == second.seconds_left
    assert second.message.endswith("0.1 MB of memory, 0.1 MB on disk, about 1 s")
    big = Gathering(0, 10, 1, 3 * 2**30, True, 5.0, 600.0)
    assert big.message.startswith("Going on with the statistics of 1 layer from 10 tokens")
    assert big.message.endswith("3.0 GB of memory, about 10 min")
    parts = Gathering(5, 30, 29, 7 * 2**30, passes=3, kept=11 * 2**30)
    assert (
        "of 29 layers from 10 tokens, once per model, in 3 passes: 7.0 GB of memory, 11.0 GB on disk" in parts.message
    )


def test_only_layers_up_to_the_last_asked_one_are_run(lm):
    """Neither what lies above it, nor its own down-projection, nor the head."""
    ran = []
    parts = {f"layer {n}": lm.layers[n] for n in range(lm.n_layers)} | {"down 1": lm.down(1), "head": lm.head}
    handles = [part.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, part in parts.items()]
    try:
        second_moments(lm, [0, 1], toys.SENTENCES, 60)
    finally:
        for handle in handles:
            handle.remove()
    assert set(ran) == {"layer 0"}  # layer 1 ends where its key is read
