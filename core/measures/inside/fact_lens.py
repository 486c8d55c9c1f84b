"""The logit lens of a fact: where it is read, and what each layer says there of the new and of the old object."""

from __future__ import annotations

from typing import Any

import torch

from core.facts.fact import Fact
from core.measures.inside.logit_lens import logit_lens
from core.models.language_model import LanguageModel
from core.models.tokens import answer_ids

SUBJECT, LAST = "subject’s last token", "last token"  # where it is read


def read_of(lm: LanguageModel, fact: Fact) -> tuple[list[int], tuple[int, int], tuple[int, int]]:
    """(ids of the prompt as it is asked, the subject's last and the prompt's last token, the first tokens of the new
    and of the old object); −1 for an old object that is not known."""
    text, place = lm.slot_last(fact.prompt, fact.subject)
    ids = lm.encode(text)
    new = answer_ids(lm.tokenizer, text, fact.target)[0]
    old = answer_ids(lm.tokenizer, text, fact.truth)[0] if fact.truth and fact.truth != fact.target else -1
    return ids, (place, len(ids) - 1), (new, old)


def fact_lens(lm: LanguageModel, fact: Fact) -> list[dict[str, Any]]:
    """The lens of one fact by the model with its present weights: a dictionary for each of the two places.

    `place` and its `token`; by layer the probabilities of the first token of the new object (`target`) and of the old
    one (`truth`; None if it is not known), whether these are the likeliest tokens (`target_first`, `truth_first`), and
    the likeliest token (`says`).
    """
    ids, places, tokens = read_of(lm, fact)
    lens = logit_lens(lm, [ids], torch.tensor([places]), torch.tensor([[max(token, 0) for token in tokens]]))
    probability = lens.logprob[:, 0].exp()
    return [
        {
            "place": name,
            "token": str(lm.tokenizer.decode([ids[place]])),
            "target": probability[:, number, 0].tolist(),
            "truth": probability[:, number, 1].tolist() if tokens[1] >= 0 else None,
            "target_first": (lens.rank[:, 0, number, 0] == 1).tolist(),
            "truth_first": (lens.rank[:, 0, number, 1] == 1).tolist(),
            "says": [str(lm.tokenizer.decode([token])) for token in lens.likeliest[:, 0, number].tolist()],
        }
        for number, (name, place) in enumerate(zip((SUBJECT, LAST), places, strict=True))
    ]
