"""Prompts as a user's message: what a chat template puts before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transformers import PreTrainedTokenizerBase

from core.errors import UserError

MARK = "\ue000the user's message\ue001"  # private use: occurs in no template and no prompt
DAY = datetime(2024, 7, 26)  # templates that tell the date tell this one: the same run has the same prompts tomorrow

DATE_PARTS = [f"%{letter}" for letter in "aAbBdmYyjHIMSp"]


@dataclass(frozen=True)
class Frame:
    """The text around a prompt when the model is asked: nothing, or a chat template's turns.

    The answer follows `after`, which then ends with the beginning of the assistant's turn.
    """

    before: str = ""
    after: str = ""


def chat_frame(tokenizer: PreTrainedTokenizerBase, reference: str) -> Frame:
    """The frame of a tokenizer's chat template: one user's message, and the beginning of the assistant's turn.

    No system message is added, and thinking is switched off if the template allows that. Raises `UserError` if there is
    no template, or if it changes or rejects such a message.
    """
    if not tokenizer.chat_template:
        raise UserError(
            f"The tokenizer of {reference} has no chat template, so its prompts cannot be asked as chat. Use the"
            " model's instruct version, or take chat out of the spec."
        )
    turns = [{"role": "user", "content": MARK}]
    options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
    try:
        dated = same_day() + tokenizer.get_chat_template()
        text = str(tokenizer.apply_chat_template(turns, chat_template=dated, **options))
    except Exception as error:  # whatever the model's own template raises
        cause = " ".join(str(error).split())
        raise UserError(
            f"The chat template of {reference} cannot be used ({type(error).__name__}: {cause[:200]}). Take chat out of"
            " the spec, or mend chat_template in the tokenizer's folder."
        ) from error
    if text.count(MARK) != 1:
        raise UserError(
            f"The chat template of {reference} has the user's message {text.count(MARK)} times, not once. Take chat out"
            " of the spec, or mend chat_template in the tokenizer's folder."
        )
    before, _, after = text.partition(MARK)
    return Frame(before, after)


def same_day() -> str:
    """A prefix for templates that ask for the date with `strftime_now`: the date is always `DAY`."""
    replaced = "".join(f' | replace("{part}", "{DAY.strftime(part)}")' for part in DATE_PARTS)
    return f"{{%- macro strftime_now(format) -%}}{{{{ format{replaced} }}}}{{%- endmacro -%}}"
