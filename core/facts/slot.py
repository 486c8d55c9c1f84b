"""Where in a prompt its subject stands."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.facts.cells import CellError
from core.facts.fact import SLOT


def with_slot(prompt: str, subject: str) -> str:
    """The prompt with exactly one slot: where it names the subject literally, that place becomes the slot.

    For what people type: they are asked which place they mean where there are several.
    """
    _at_most_one(prompt, "prompt")
    if SLOT in prompt:
        return prompt
    found = prompt.count(subject)
    if found == 1:
        return prompt.replace(subject, SLOT)
    if found == 0:
        raise CellError("prompt", f'does not mention its subject "{subject}": write {SLOT} where the subject goes')
    raise CellError("prompt", f'mentions "{subject}" {found} times: write {SLOT} at the one that is to be edited')


def slotted(prompt: str, subject: str, column: str = "prompt") -> tuple[str, str]:
    """(the prompt with one slot, the subject as the prompt spells it), for prompts of datasets.

    A slot that is there stays. Otherwise it replaces the *last* mention of the subject, since what a model reads
    there is all that it has read of the subject before the answer. Mentions are whole words in the same case; failing
    that whole words in any case ("the Beatles" for "The Beatles"); failing that any place, as in writings without
    spaces. The prompt's own spelling is kept, so that the text stays what the dataset has.
    """
    _at_most_one(prompt, column)
    if SLOT in prompt:
        return prompt, subject
    pattern = re.escape(subject)
    places = _whole(prompt, re.finditer(pattern, prompt))
    places = places or _whole(prompt, re.finditer(pattern, prompt, re.IGNORECASE))
    places = places or list(re.finditer(pattern, prompt))
    if not places:
        raise CellError(column, f'does not mention its subject "{subject}"')
    start, end = places[-1].span()
    return prompt[:start] + SLOT + prompt[end:], prompt[start:end]


def _at_most_one(prompt: str, column: str) -> None:
    if (slots := prompt.count(SLOT)) > 1:
        raise CellError(column, f"{slots} slots {SLOT}: leave one, at the subject whose last token is to be edited")


def _whole(prompt: str, places: Iterable[re.Match[str]]) -> list[re.Match[str]]:
    """Those places that begin and end with a word."""

    def inside(left: int) -> bool:
        return 0 < left < len(prompt) and prompt[left - 1].isalnum() and prompt[left].isalnum()

    return [place for place in places if not inside(place.start()) and not inside(place.end())]
