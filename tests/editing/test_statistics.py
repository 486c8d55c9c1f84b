"""Second moments equal the dense formula; caches that do not fit are refused."""

import shutil

import pytest
import torch

from core.editing.statistics import cached_moments, description, hash_texts, place, second_moments, top_share
from core.errors import UserError
from core.models.forward import token_activations
from tests import toys

TEXTS = toys.SENTENCES + ["", "A"]
CORPUS = hash_texts(TEXTS)


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


def gather(folder, lm, layers, **changes):
    asked = []

    def texts():
        asked.append(1)
        return TEXTS

    options = {"corpus": CORPUS, "max_tokens": 60, "skip_bos": False, **changes}
    return cached_moments(folder, lm, layers, texts, **options), len(asked)


def test_the_cache_gives_the_same_bits_and_only_what_was_asked(tmp_path, lm):
    told = []
    first, asked = gather(tmp_path, lm, [1, 2], progress=lambda done, of: told.append((done, of)))
    assert asked == 1
    assert told[-1] == (60, 60)
    again, asked = gather(tmp_path, lm, [2])
    assert asked == 0
    assert torch.equal(again[2].moment, first[2].moment)
    assert again[2].top_share == first[2].top_share
    more, asked = gather(tmp_path, lm, [0, 1])
    assert (list(more), asked) == ([0, 1], 1)


@pytest.mark.parametrize("change", [{"corpus": "other"}, {"max_tokens": 59}, {"skip_bos": True}])
def test_other_questions_have_other_files(tmp_path, lm, change):
    gather(tmp_path, lm, [1])
    assert gather(tmp_path, lm, [1], **change)[1] == 1


def test_another_models_file_is_refused(tmp_path, lm, toy):
    other = toy("mistral")
    gather(tmp_path, other, [1])
    theirs = place(tmp_path, description(other, 1, CORPUS, 60, False))
    ours = place(tmp_path, description(lm, 1, CORPUS, 60, False))
    shutil.move(theirs, ours)
    with pytest.raises(UserError, match=r"belong to something else \(model"):
        gather(tmp_path, lm, [1])


def test_a_damaged_file_is_refused(tmp_path, lm):
    gather(tmp_path, lm, [1])
    path = place(tmp_path, description(lm, 1, CORPUS, 60, False))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        gather(tmp_path, lm, [1])
