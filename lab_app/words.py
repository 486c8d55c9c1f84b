"""The model's own words: what it says of the facts just edited, before and after, lane beside lane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab_app.panels.panel import Payload, point

MOST = 12  # facts shown of one round
LONGEST = 300  # characters of one continuation
FIELDS = ("prompt", "target", "truth", "before", "after")


def words(event: Mapping[str, Any]) -> Payload | None:
    """The continuations of one lane and round: plain text, which the page shows as text and never as markup."""
    said = [
        {name: clipped(found.get(name)) for name in FIELDS if found.get(name)}
        | {"fact": found.get("fact"), "said": bool(found.get("said"))}
        for found in (event.get("words") or [])[:MOST]
    ]
    return point(event) | {"words": said} if said else None


def clipped(text: Any) -> str:
    """Text of bounded length."""
    text = str(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
