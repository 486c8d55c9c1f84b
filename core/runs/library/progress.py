"""A progress bar of a run: in a terminal and in a notebook."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm

from core.runs.progress.events import Event, Progress, Started, Warned


class Bar:
    """Shows the number of finished edits and the current work; warnings are printed above the bar."""

    def __init__(self, shown: bool = True):
        self._shown, self._bar = shown, tqdm(disable=not shown, unit="edit", desc="Getting ready")

    def progress(self, progress: Progress) -> None:
        """Show progress."""
        if progress.run_total:
            self._bar.total, self._bar.n = progress.run_total, progress.run_done
        self._bar.set_description_str((progress.message or progress.phase)[:60])

    def event(self, event: Event) -> None:
        """Handle a committed event."""
        if isinstance(event, Started):
            self._bar.total = event.rounds * len(event.lanes)
        if self._shown and isinstance(event, Warned) and event.level != "info":
            where = f"{event.lane}, round {event.round}: " if event.lane and event.round is not None else ""
            self._bar.write(f"warning: {where}{event.message}")

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.close()
