"""The ids that a fact's target is taught as, and the option to teach where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.editing.settings.parameters import param

if TYPE_CHECKING:
    from core.models.language_model import LanguageModel


def eos_option(on: bool = False) -> Any:
    """The hyperparameter `eos` of a method that trains on targets."""
    paper = "" if on else "; not so in the paper"
    return param(on, help=f"Train on the end of the text after each target, so that free answers end there{paper}.")


def target_ids(lm: LanguageModel, prompt: str, target: str, eos: bool = False) -> list[int]:
    """Ids of the target as the continuation of a prompt as the model reads it; with `eos` the end of the text is one
    more. Raises `UserError` if the model has none."""
    from core.errors import UserError
    from core.models.tokens import answer_ids

    ids = answer_ids(lm.tokenizer, prompt, target)
    if not eos:
        return ids
    end = lm.tokenizer.eos_token_id
    if end is None:
        raise UserError(f'{lm.reference} has no token for the end of a text: set "eos": false.')
    return [*ids, end]
