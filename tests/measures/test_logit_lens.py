"""The logit lens against a plain version: one row at a time, with a hook, the norm and the head by hand."""

from dataclasses import replace

import pytest
import torch

from core.facts.fact import Fact
from core.measures.inside.fact_lens import LAST, SUBJECT, fact_lens
from core.measures.inside.logit_lens import logit_lens
from core.models.loading import load_model
from core.models.tokens import answer_ids
from tests import toys

TEXTS = ["The capital of France is", "Ada Marlow was born in", "I like the sea because the river runs to the sea and"]


@pytest.fixture(scope="module", params=list(toys.CONFIGS))
def model(request, tmp_path_factory):
    folder = toys.tiny(tmp_path_factory.mktemp(request.param), request.param)
    return load_model(str(folder), device="cpu", dtype="float64")


def by_hand(lm, ids, place):
    """Log-probabilities of all tokens after each layer, at one token; and those of the model itself."""
    kept = []
    hooks = [
        block.register_forward_hook(lambda _, __, out: kept.append(out[0] if isinstance(out, tuple) else out))
        for block in lm.layers
    ]
    with torch.no_grad():
        said = lm.model(torch.tensor([ids])).logits[0, place]
        norm, cap = lm.model.get_submodule(lm.anatomy.norm), getattr(lm.config, "final_logit_softcapping", None)
        lenses = []
        for hidden in kept:
            logits = lm.head(norm(hidden))[0, place]
            lenses.append((cap * torch.tanh(logits / cap) if cap else logits).log_softmax(0))
    for hook in hooks:
        hook.remove()
    return torch.stack(lenses), said.log_softmax(0)


def test_every_layer_is_read_as_by_hand(model):
    rows = model.encode_all(TEXTS)
    places = torch.tensor([[1, len(row) - 1] for row in rows])
    tokens = torch.tensor([[5, 300], [17, 40], [5, 5]])
    exactness = 1e-6 if model.model_type == "gptj" else 1e-10  # its attention is in float32
    found = logit_lens(model, rows, places, tokens, budget=40)  # the longest row by itself
    assert found.logprob.shape == (model.n_layers, 3, 2, 2)
    for n, row in enumerate(rows):
        for p in range(2):
            slow, said = by_hand(model, row, int(places[n, p]))
            torch.testing.assert_close(found.logprob[:, n, p], slow[:, tokens[n]], rtol=0, atol=exactness)
            torch.testing.assert_close(slow[-1], said, rtol=0, atol=exactness)  # the model’s own answer
            for a in range(2):
                ranks = 1 + (slow > slow[:, tokens[n, a]][:, None]).sum(1)
                assert found.rank[:, n, p, a].tolist() == ranks.tolist()


def test_the_lens_of_a_fact_is_that_of_its_row(model):
    fact = Fact(subject="Ada Marlow", prompt="{} was born in", target="Lyon", truth="Paris")
    ids = model.encode(fact.text)
    spots = (model.slot_last(fact.prompt, fact.subject)[1], len(ids) - 1)
    tokens = [answer_ids(model.tokenizer, fact.text, answer)[0] for answer in ("Lyon", "Paris")]
    found = fact_lens(model, fact)
    assert [row["place"] for row in found] == [SUBJECT, LAST]
    for p, row in enumerate(found):
        assert row["token"] == model.tokenizer.decode([ids[spots[p]]])
        slow, _ = by_hand(model, ids, spots[p])
        for name, token in zip(("target", "truth"), tokens, strict=True):
            assert row[name] == pytest.approx(slow[:, token].exp().tolist(), rel=1e-5)
            assert row[f"{name}_first"] == [token == best for best in slow.argmax(1).tolist()]
        assert row["says"] == [model.tokenizer.decode([best]) for best in slow.argmax(1).tolist()]
    assert fact_lens(model, replace(fact, truth=None))[0]["truth"] is None
