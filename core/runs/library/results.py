"""Results of the library: numbers as a table (`frame`) and as a plot (`figure`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from core.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a study or of scoring. `tables` has the rows by table name, `charts` says how they are drawn,
    `protocol` what was measured, on what and when, `notes` what was left out and why. `raw` is the whole result in JSON
    types."""

    title: str
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    charts: Sequence[Mapping[str, Any]] = ()
    protocol: str = ""
    notes: Sequence[str] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of_study(cls, study_result: Mapping[str, Any]) -> Result:
        """The result of `core.runs.opened.study.study`."""
        parts = {name: study_result[name] for name in ("title", "tables", "charts", "protocol", "notes")}
        return cls(**parts, raw=study_result)

    def frame(self, table: str | None = None) -> pd.DataFrame:
        """A table, the first by default. Raises `UserError` for an unknown name."""
        import pandas as pd

        names = list(self.tables)
        name = names[0] if table is None else table
        if name not in self.tables:
            raise UserError(f'there is no table "{name}"; {nearest(name, names)}')
        return pd.DataFrame(list(self.tables[name]))

    def figure(self, chart: int = 0) -> Figure:
        """A chart as a plotly figure, counted from 0. Raises `UserError` for an unknown number."""
        from core.charts.plot import charted

        if not 0 <= chart < len(self.charts):
            raise UserError(f"there is no chart {chart}: this result has {len(self.charts)} charts, counted from 0")
        drawn = self.charts[chart]
        return charted(drawn, self.tables[drawn["table"]])

    def _repr_html_(self) -> str:
        tables = "".join(f"<h5>{escape(name)}</h5>{self.frame(name).to_html(max_rows=20)}" for name in self.tables)
        notes = "".join(f"<p><em>{escape(note)}</em></p>" for note in self.notes)
        return f"<h4>{escape(self.title)}</h4><p>{escape(self.protocol)}</p>{tables}{notes}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A model's answer to a prompt: its greedy continuation `text`, and the likeliest `next` tokens with their
    probabilities."""

    prompt: str
    text: str
    next: Sequence[tuple[str, float]] = field(repr=False)

    def __str__(self) -> str:
        return self.text

    def frame(self) -> pd.DataFrame:
        """The likeliest next tokens with their probabilities, a row each."""
        import pandas as pd

        return pd.DataFrame(self.next, columns=["token", "p"])

    def figure(self) -> Figure:
        """The likeliest next tokens as bars."""
        from plotly.graph_objects import Bar, Figure

        places = range(len(self.next), 0, -1)  # the likeliest on top; a token may come twice as text
        named = [f"{place}. {token!r}" for place, (token, _) in zip(places, reversed(self.next), strict=True)]
        bars = Bar(x=[p for _, p in reversed(self.next)], y=named, orientation="h")
        return Figure(bars).update_layout(title=escape(self.prompt), xaxis_title="probability", xaxis_tickformat=".0%")
