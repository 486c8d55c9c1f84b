"""Runs in the library: start one, open one again, read its results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from html import escape
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.panels import figure
from core.paths import default_home
from core.runs.engine.laboratory import Laboratory
from core.runs.export.export import Exported, export
from core.runs.export.options import ExportRequest
from core.runs.library.arguments import Facts, Lanes, spec_of
from core.runs.library.lane import Lane, table
from core.runs.library.lane_text import lanes_of
from core.runs.library.model import Model
from core.runs.library.progress import Bar
from core.runs.library.results import Result
from core.runs.opened.run import OpenedRun
from core.runs.opened.study import study
from core.runs.progress.control import Control
from core.runs.progress.events import Finished, Progress
from core.runs.progress.terminal import interruptible
from core.runs.store.additions import add_lanes
from core.runs.store.store import Run as Stored
from core.runs.store.store import Store
from core.runs.worker.foreground import alone, check_out, open_or_create, stored_run
from core.runs.worker.perform import perform
from core.runs.worker.process import cache_home, worker_lives

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

OWNER = "python"
HOW = "resume=True"  # the option that resumes an existing run
LOOK = 0.2  # seconds between two polls of a run that the lab's worker performs
OVER = ("done", "failed", "stopped", "paused")


class Run:
    """A run in a folder. `rounds`, `layers` and `facts` are its tables; `run[label]` is a lane."""

    def __init__(self, home: Path, id_: str, folder: Path, laboratory: Laboratory):
        self._home, self.id, self.folder = home, id_, folder
        self._opened = OpenedRun(folder, laboratory)

    @property
    def lanes(self) -> list[str]:
        """The labels of the lanes."""
        return self._opened.labels

    @property
    def spec(self) -> dict[str, Any]:
        """The spec with every field filled in: `lab.run(run.spec)` repeats the run."""
        return self._opened.spec.as_dict()

    @property
    def status(self) -> str:
        """done, stopped, paused, failed, running or queued; "" for a folder that no store knows."""
        return self._stored(lambda store: stored_run(store, self.id).status) if self.id else ""

    @property
    def rounds(self) -> pd.DataFrame:
        """Scores: a row per lane and measured round. Round 0 is the unedited model."""
        return table(self._file("rounds"))

    @property
    def layers(self) -> pd.DataFrame:
        """Measures inside: a row per lane, measured round and edited layer."""
        return table(self._file("layers"))

    @property
    def facts(self) -> pd.DataFrame:
        """Every fact in every lane: the prompt, and the answers before and after the edits. The table is written when
        the run ends; raises `UserError` before that."""
        return table(self._file("facts"), texts=True)

    @property
    def events(self) -> Sequence[Mapping[str, Any]]:
        """All events that were not undone, as stored."""
        return self._opened.record.events

    def __getitem__(self, label: str) -> Lane:
        return Lane(self._opened.lane(label))

    def figure(
        self, panel: str = "scores", *, lanes: Sequence[str] | None = None, round: int | None = None, **choices: Any
    ) -> Figure:
        """A panel of the page as a plotly figure: scores, tasks, energy, similarity, drift, directions, frontier, maps.
        `choices` are those of the panel: `protocol="exact"`, `layer=4`. Raises `UserError`."""
        return figure(panel, self.events, lanes=lanes, round=round, **choices)

    def study(
        self, name: str, *, lanes: Sequence[str] | None = None, rounds: str | int = "last", **options: Any
    ) -> Result:
        """A study of lanes (default: all) at "all" rounds, the "last", or numbers with commas. `python -m core measure
        --studies` lists them with their options. Raises `UserError`."""
        return Result.of_study(study(self._opened, name, options, lanes, str(rounds)))

    def export(
        self, kind: str, out: Path | str, *, lane: str | None = None, round: int | None = None, **options: Any
    ) -> Exported:
        """Export to `out`, which must not exist: a "zip" or a "snippet" of the run; "factors", "lora" or "model" of a
        lane's round. Raises `UserError`."""
        request = ExportRequest(kind=kind, lane=lane, round=round, options=options)
        return export(self.folder, request, Path(out), self._opened.laboratory)

    def add(self, *lanes: str | Mapping[str, Any], progress: bool = True) -> Run:
        """Add lanes, computed as if they had been in the run from the start; returns this run. Raises `UserError`."""
        self._stored(lambda store: add_lanes(store, stored_run(store, self.id), lanes_of(list(lanes))))
        return self.resume(progress=progress)

    def resume(self, progress: bool = True) -> Run:
        """Resume a run that was stopped; returns this run. Raises `UserError`."""
        self._stored(lambda store: _finish(store, stored_run(store, self.id), self._opened.laboratory, progress))
        return self

    def _stored(self, ask: Callable[[Store], Any]) -> Any:
        if not self.id:
            raise UserError(f"{self.folder}: is a copy that no store knows; it can be read, but not go on")
        store = Store(self._home)
        try:
            return ask(store)
        finally:
            store.close()

    def _file(self, name: str) -> Path:
        path = self.folder / f"{name}.csv"
        if not path.exists():
            raise UserError(f"{path}: is not there yet; it is written as the run goes on, facts.csv at its end")
        return path

    def __repr__(self) -> str:
        return f"<run {self.id}: {', '.join(self.lanes)}; {self.status}; {self.folder}>"

    def _repr_html_(self) -> str:
        last = self.rounds.groupby("lane", sort=False).tail(1)
        return f"<p>{escape(self.status)} · {escape(str(self.folder))}</p>{last.to_html(index=False)}"


def run(
    model: str | Model | Mapping[str, Any] = "pocket",
    facts: Facts | None = None,
    lanes: Lanes | None = None,
    *,
    round_size: int | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    progress: bool = True,
    **fields: Any,
) -> Run:
    """Edit facts, round by round, in every lane, and measure after each round; returns the run when it has ended.

    `model`: a name ("pocket", a hub id, a folder), one that `lab.load` gave, or a whole spec as a dictionary. `facts`:
    `lab.sample(…)`, or a list of dictionaries and `lab.fact(…)`. `lanes`: texts such as "memit + revive(tau=0.1)",
    dictionaries as in a spec, or both. `round_size` is a tenth of the facts by default; `fields` are other fields of a
    spec (`seed`, `measure`, `statistics`, `title`, …).

    The run is stored in the folder `out`, or in the lab's own home, where the page finds it. With `resume`, the run in
    `out` continues, with lanes that were added to the spec. Ctrl-C stops after the current step; `run.resume()`
    continues. Raises `UserError`, in one line.
    """
    loaded = model if isinstance(model, Model) else None
    named: str | Mapping[str, Any] = model if not isinstance(model, Model) else model.spec.model
    fields = {**(loaded.fields if loaded else {}), **fields}
    spec = spec_of(named, facts, lanes, round_size, fields)
    home = default_home() if out is None else Path(out)
    home = home.expanduser().resolve()
    if out is not None:
        check_out(home)
    store = Store(home)
    try:
        if out is None:
            stored = stored_run(store, store.create_run(spec.as_dict(), owner=OWNER, title=spec.title))
        else:
            with alone(home):
                stored = open_or_create(store, spec, home, resume, owner=OWNER, how=HOW)
        laboratory = loaded.laboratory if loaded else Laboratory(cache_home(home))
        if stored.status != "done":
            _finish(store, stored, laboratory, progress)
        return Run(home, stored.id, stored.folder, laboratory)
    finally:
        store.close()


def open_run(run: Path | str, model: Model | None = None) -> Run:
    """Open an existing run by its folder, or by its id in the lab's home. `model` is its model, if that is loaded
    already. Raises `UserError` if there is no such run."""
    folder = Path(run).expanduser()
    if not folder.is_dir():
        folder = default_home() / "runs" / str(run)
    folder = folder.resolve()
    if not (folder / "spec.json").exists():
        raise UserError(f'"{run}": no run is there; give the folder of a run, or the id of one in {default_home()}')
    home, id_ = _place(folder)
    return Run(home, id_, folder, model.laboratory if model else Laboratory(cache_home(folder)))


def _place(folder: Path) -> tuple[Path, str]:
    """The home whose store has the run in a folder, and the run's id; "" if no store has it."""
    for home in (folder, folder.parent.parent):
        if (home / "lab.sqlite").exists():
            store = Store(home)
            try:
                ids = [stored.id for stored in store.runs() if stored.folder == folder]
            finally:
                store.close()
            if ids:
                return home, ids[0]
    return folder, ""


def _finish(store: Store, stored: Stored, laboratory: Laboratory, progress: bool) -> None:
    """Perform a run to its end, in this process, or by the lab's worker if this home has one. Raises `UserError` if the
    run fails."""
    with Bar(progress) as bar:
        if worker_lives(store.home):
            status, message = _followed(store, stored, bar)
        else:
            control = Control(report=bar.progress, give_way=lambda: True)  # nobody could resume a paused run
            with alone(store.home), _interruptible(control):
                end: Finished = perform(store, stored, laboratory, control, bar.event)
            status, message = end.status, end.message
    if status == "failed":
        raise UserError(message)


def _followed(store: Store, stored: Stored, bar: Bar) -> tuple[str, str]:
    """Let the worker of this home perform the run; returns its final status and message."""
    if stored.status in OVER:
        store.command(stored.id, "resume")
    try:
        while True:
            known = store.progress(stored.id)
            if known is not None:
                bar.progress(Progress(**{name: value for name, value in known.items() if name != "kind"}))
            now = stored_run(store, stored.id)
            if now.status in OVER and not store.commands.waiting(stored.id):
                return now.status, now.message
            time.sleep(LOOK)
    except KeyboardInterrupt:
        store.command(stored.id, "stop")
        return "stopped", ""


def _interruptible(control: Control) -> AbstractContextManager[None]:
    """Let Ctrl-C end a run after its step. Only the main thread can handle signals."""
    if current_thread() is not main_thread():
        return nullcontext()
    return interruptible(control, "go on with run.resume()")
