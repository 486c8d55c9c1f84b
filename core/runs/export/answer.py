"""Exports that the page requests. The worker writes each as one file for download in the run's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.errors import UserError
from core.runs.engine.laboratory import Laboratory
from core.runs.export.archive import pack_folder
from core.runs.export.export import Report, appearing, export, packing
from core.runs.export.offered import FIGURES, FOLDER, KEPT, MAKING, drop_figures, file_name, offered
from core.runs.export.options import OF_A_RUN, ExportOptions, ExportRequest
from core.runs.progress.control import Control, Paused
from core.runs.progress.events import Progress
from core.runs.store.folder import RunFolder
from core.runs.store.record import Record
from core.runs.store.store import Run


def export_answer(run: Run, payload: Mapping[str, Any], laboratory: Laboratory, control: Control) -> dict[str, Any]:
    """Make the file for `payload`: {"kind", "lane", "round", "options", "figures": the result of `keep_figures`}.

    Progress is reported to `control`, which may interrupt it between two layers, rounds or pieces of a zip. If it was
    stopped, nothing is kept; if the lab is being closed, the next worker makes the file. Returns {"name", "bytes",
    "about"} (`core.runs.export.weights.about`). Raises `UserError`; its messages name no path of this computer.
    """
    kind, options = str(payload.get("kind", "")), dict(payload.get("options") or {})
    if options.get("figures") is not None:
        raise UserError("figures travel with the question, not as a path")
    folder, figures = run.folder / FOLDER, str(payload.get("figures") or "")
    if FIGURES.fullmatch(figures) and (folder / figures).is_dir():
        options["figures"] = folder / figures
    later = False
    try:
        with _no_paths(run):
            return _made(run, kind, payload, options, laboratory, _report(control))
    except Paused:
        later = True
        raise
    finally:
        if not later:
            drop_figures(run, payload)


def _report(control: Control) -> Report:
    """A function that reports progress after a chance for `control` to interrupt."""

    def tell(progress: Progress) -> None:
        control.boundary()
        control.report(progress)

    return tell


def _made(
    run: Run,
    kind: str,
    payload: Mapping[str, Any],
    options: Mapping[str, Any],
    laboratory: Laboratory,
    progress: Report,
) -> dict[str, Any]:
    chosen = ExportOptions.checked(kind, options)
    if RunFolder(run.folder).read_spec() is None:
        raise UserError("this run has not begun yet; ask again when its first round is edited")
    lane, number, place = payload.get("lane"), payload.get("round"), 0
    if kind not in OF_A_RUN:
        record = Record.read(run.folder)
        lane = record.lane(lane)
        number = record.round(lane, number)
        place = 1 + [entry["label"] for entry in record.started["lanes"]].index(lane)
    name = file_name(run, kind, chosen, place, number or 0)
    folder = run.folder / FOLDER
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=MAKING, dir=folder) as making:
        packed = kind in ("lora", "model")
        out = Path(making) / (Path(name).stem if packed else name)
        request = ExportRequest(kind=kind, lane=lane, round=number, options=options)
        exported = export(run.folder, request, out, laboratory, progress)
        if packed:
            with appearing(Path(making) / name) as draft:
                pack_folder(out, draft, packing(progress))
        progress(Progress(phase="packing", message="Done"))  # the last moment to stop it
        os.replace(Path(making) / name, folder / name)
    for old in offered(run)[KEPT:]:
        (folder / old["name"]).unlink(missing_ok=True)
    return {"name": name, "bytes": (folder / name).stat().st_size, "about": exported.about}


@contextmanager
def _no_paths(run: Run) -> Iterator[None]:
    """Replace the run's folder by "the run" in messages that a visitor reads."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(run.folder), "the run")) from None
