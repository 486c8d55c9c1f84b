"""How likely the unedited model finds what is true: by that, facts are chosen and ordered (R_k paper, Table 38)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from core.errors import UserError
from core.facts.fact import Fact
from core.measures.outside.scores import pass_size
from core.models.forward import score
from core.models.language_model import LanguageModel


def truth_logprobs(lm: LanguageModel, facts: Sequence[Fact], beat: Callable[[], None] | None = None) -> list[float]:
    """The mean log-probability per token of each fact's truth after its prompt, by the unedited model; −∞ where it is
    not finite. Raises `UserError` if the truth of a fact is not known."""
    unknown = next((fact for fact in facts if fact.truth is None), None)
    if unknown is not None:
        raise UserError(
            f'facts: "{unknown.text}" has no truth, so it cannot be told how likely the model finds it; give every fact'
            ' one, or leave "likely" and such an "order" out'
        )
    with lm.worn({}):
        found = score(lm, [f.text for f in facts], [f.truth or "" for f in facts], pass_size(lm), beat).logprob
    return [value if math.isfinite(value) else -math.inf for value in found.tolist()]
