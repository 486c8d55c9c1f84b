"""Where a prompt names its subject."""

from __future__ import annotations

import re
from collections.abc import Iterable

from core.facts.cells import CellError
from core.facts.fact import SLOT
from core.letters import inside_word


def with_slot(prompt: str, subject: str) -> str:
    """The prompt with exactly one slot: if it names the subject literally, that place becomes the slot.

    For typed prompts: an error asks which place is meant if there are several, or if the subject occurs only inside a
    longer word.
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

    An existing slot stays. Otherwise the slot replaces the *last* mention of the subject, since the state there is all
    that the model has read of the subject before the answer. Mentions are whole words in the same case, or else whole
    words in any case ("the Beatles" for "The Beatles"). Parts of longer words do not count ("Rome" in "Romeo"), except
    in scripts without spaces. The prompt's own spelling is kept, so that the text does not change.
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
