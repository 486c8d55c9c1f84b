"""Features of the page, one module each, in their order below the plots.

A feature has `place(parts)` (called inside the column of the plots: make components, keep them in `parts.more`),
`connect(parts)` (called when all components exist: connect handlers) and `pages(parts)` (called outside the first
page: add pages of one's own by `parts.page.route`). Each may do nothing.
"""

from __future__ import annotations

from typing import Protocol

from lab_app.features import (
    export,
    fact_card,
    facts_source,
    film,
    frontier,
    history,
    lane_settings,
    lanes_more,
    learn,
    sandbox,
    studies,
)
from lab_app.handlers.parts import Parts


class Feature(Protocol):
    def place(self, parts: Parts) -> None: ...

    def connect(self, parts: Parts) -> None: ...

    def pages(self, parts: Parts) -> None: ...


FEATURES: tuple[Feature, ...] = (
    history,
    export,
    facts_source,
    sandbox,
    film,
    studies,
    fact_card,
    learn,
    lanes_more,
    lane_settings,
    frontier,
)
