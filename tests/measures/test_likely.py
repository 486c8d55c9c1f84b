from dataclasses import replace

import pytest
import torch

from core.errors import UserError
from core.measures.outside.likely import truth_logprobs
from core.models.tokens import answer_ids


def test_truths_are_rated_by_the_unedited_model(lm, facts):
    """Against whole passes, a token after the other, whatever is worn."""
    known = facts[:3]
    noise = {1: lm.original(1) + 1}
    with lm.worn(noise):
        found = truth_logprobs(lm, known)
    for fact, value in zip(known, found, strict=True):
        ids, logs = lm.encode(fact.text), []
        for token in answer_ids(lm.tokenizer, fact.text, fact.truth):
            with torch.no_grad():
                logs.append(float(lm.model(torch.tensor([ids])).logits[0, -1].log_softmax(0)[token]))
            ids = [*ids, token]
        assert value == pytest.approx(sum(logs) / len(logs))
    with pytest.raises(UserError, match="has no truth"):
        truth_logprobs(lm, [replace(known[0], truth=None)])
