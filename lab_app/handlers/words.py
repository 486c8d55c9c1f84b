"""Model continuations for the facts just edited, before and after, by lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Payload = dict[str, Any]

MOST = 12  # facts shown of one round
LONGEST, SHORT = 300, 100  # characters of one continuation, and of one that is asked every time
FIELDS = ("prompt", "target", "truth", "before", "after")


def words(event: Mapping[str, Any]) -> Payload | None:
    """The continuations of one lane and round, as plain text that the page never shows as markup."""
    said = [
        {name: clipped(found.get(name)) for name in FIELDS if found.get(name)}
        | {"fact": found.get("fact"), "said": bool(found.get("said"))}
        for found in (event.get("words") or [])[:MOST]
    ]
    asked = event.get("probes") or []
    row = {"lane": event["lane"], "round": event["round"]} | {"words": said} | probes(asked, named=not event["round"])
    return row if said or asked else None


def probes(asked: Sequence[Mapping[str, Any]], named: bool) -> Payload:
    """The continuations of the saved prompts; the prompts themselves only if `named`."""
    found: Payload = {"probes": [clipped(one["text"], SHORT) for one in asked]} if asked else {}
    return found | ({"prompts": [str(one["prompt"]) for one in asked]} if asked and named else {})


def clipped(text: Any, most: int = LONGEST) -> str:
    """Text of limited length."""
    text = str(text)
    return text if len(text) <= most else text[: most - 1] + "…"
