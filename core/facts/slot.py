"""Where in a prompt its subject stands."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.facts.cells import CellError
from core.facts.fact import SLOT
from core.letters import inside_word


def with_slot(prompt: str, subject: str) -> str:
    """The prompt with exactly one slot: where it names the subject literally, that place becomes the slot.

    For what people type: they are asked which place they mean where there are several, or where it stands only inside
    a longer word.
    """
    _at_most_one(prompt, "prompt")
    if SLOT in prompt:
        return prompt
    places = _whole(prompt, re.finditer(re.escape(subject), prompt))
    if len(places) == 1:
        start, end = places[0].span()
        return prompt[:start] + SLOT + prompt[end:]
    if not places:
        raise CellError("prompt", f"{_missing(prompt, subject)}: write {SLOT} where the subject goes")
    raise CellError("prompt", f'mentions "{subject}" {len(places)} times: write {SLOT} at the one that is to be edited')


def slotted(prompt: str, subject: str, column: str = "prompt") -> tuple[str, str]:
    """(the prompt with one slot, the subject as the prompt spells it), for prompts of datasets.

    A slot that is there stays. Otherwise it replaces the *last* mention of the subject, since what a model reads
    there is all that it has read of the subject before the answer. Mentions are whole words in the same case; failing
    that whole words in any case ("the Beatles" for "The Beatles"). Inside a longer word there is none ("Rome" in
    "Romeo"), but in writings without spaces any place is one. The prompt's own spelling is kept, so that the text stays
    what the dataset has.
    """
    _at_most_one(prompt, column)
    if SLOT in prompt:
        return prompt, subject
    pattern = re.escape(subject)
    places = _whole(prompt, re.finditer(pattern, prompt))
    places = places or _whole(prompt, re.finditer(pattern, prompt, re.IGNORECASE))
    if not places:
        raise CellError(column, _missing(prompt, subject))
    start, end = places[-1].span()
    return prompt[:start] + SLOT + prompt[end:], prompt[start:end]


def _at_most_one(prompt: str, column: str) -> None:
    if (slots := prompt.count(SLOT)) > 1:
        raise CellError(column, f"{slots} slots {SLOT}: leave one, at the subject whose last token is to be edited")


def _missing(prompt: str, subject: str) -> str:
    inside = f'mentions "{subject}" only inside a longer word'
    return inside if subject in prompt else f'does not mention its subject "{subject}"'


def _whole(prompt: str, places: Iterable[re.Match[str]]) -> list[re.Match[str]]:
    """Those places that begin and end with a word."""
    return [
        place for place in places if not inside_word(prompt, place.start()) and not inside_word(prompt, place.end())
    ]
