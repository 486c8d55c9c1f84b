"""The panels of the page, one file each: charts of a running run, and of a finished one by `figure`.

    figure("scores", events, protocol="exact")      # a plotly Figure
    data("drift", events).rows["drift"]             # the rows that it draws

A module of this folder whose name does not begin with an underscore exports its `Panel` as `PANEL`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.charts.panel import Panel, filled
from core.charts.select import Data, View, options
from core.errors import UserError, nearest

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of the panels' files."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


@cache
def panels() -> tuple[Panel, ...]:
    """All panels, in the order of the page."""
    unordered = [import_module(f"{__name__}.{name}").PANEL for name in names()]
    return tuple(sorted(unordered, key=lambda panel: panel.place))


def get(key: str) -> Panel:
    """The panel of this key. Raises `UserError` with the nearest key."""
    for panel in panels():
        if panel.key == key:
            return panel
    raise UserError(f"There is no panel {key!r}: {nearest(key, [panel.key for panel in panels()])}")


def data(key: str, events: Iterable[Mapping[str, Any]]) -> Data:
    """The tables of a panel, from a run's events (`events.standing`). Raises `UserError`."""
    return filled(get(key), events).data


def figure(
    key: str,
    events: Iterable[Mapping[str, Any]],
    *,
    lanes: Sequence[str] | None = None,
    round: int | None = None,
    **choices: Any,
) -> Figure:
    """A panel of a run as a plotly figure, with the numbers that the page draws.

    `events` are the run's (`events.standing`). `lanes` and `round` select what is shown (all, and the last); `choices`
    are the page's choices by name: `protocol="exact"`, `layer=4`. Raises `UserError` for names that the panel does not
    know.
    """
    from core.charts.plot import plotted

    panel = get(key)
    data = filled(panel, events).data
    if wrong := [lane for lane in lanes or () if lane not in data.lanes]:
        raise UserError(f"There is no lane {wrong[0]!r}: {nearest(wrong[0], list(data.lanes))}")
    known = {choice.name: choice for choice in panel.plot.choices}
    for name, value in choices.items():
        if name not in known:
            raise UserError(f"The panel {key!r} has no choice {name!r}: {nearest(name, list(known))}")
        keys = [option for option, _ in options(known[name], panel.plot, data)]
        if value not in keys:
            raise UserError(f"{name} {value!r} is none of {', '.join(map(str, keys)) or 'what this run has'}")
    title = panel.title.replace("<sub>", "").replace("</sub>", "")
    return plotted(panel.plot, data, View(lanes, round, choices), title)
