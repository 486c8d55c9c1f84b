"""Running statistics against those of all columns at once, float64 to 1e-12."""

import torch

from core.editing.history.running import Running
from tests.editing.algebra import random

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def test_rounds_add_up_to_all_columns_at_once():
    columns = random(5, 23, seed=1) * torch.tensor([1.0, 10.0, 1e-3, 1.0, 1.0])[:, None] + 3
    running = Running.none(columns)
    for part in columns.split([1, 9, 0, 13], 1):
        running = running.joined(part)
    assert running.count == 23
    torch.testing.assert_close(running.mean, columns.mean(1), **EXACT)
    torch.testing.assert_close(running.deviation(), columns.std(1), **EXACT)
    standard = running.standardised(columns)
    torch.testing.assert_close(standard.mean(1), torch.zeros(5, dtype=torch.float64), **EXACT)
    torch.testing.assert_close(standard.var(1), torch.ones(5, dtype=torch.float64), **EXACT)


def test_what_never_varies_is_zero_and_so_is_one_column():
    columns = random(3, 6)
    columns[1] = 0.1
    assert torch.equal(Running.none(columns).joined(columns).standardised(columns)[1], torch.zeros(6).double())
    one = Running.none(columns).joined(columns[:, :1])
    assert not one.standardised(columns).any()


def test_it_is_kept_as_a_vector():
    running = Running.none(random(4, 1)).joined(random(4, 7))
    again = Running.unpacked(running.packed())
    assert again.count == 7
    assert torch.equal(again.mean, running.mean)
    assert torch.equal(again.squares, running.squares)
