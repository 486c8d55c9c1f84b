"""Exports a run, or a lane after a round, for the worker, the command line and the library.

An export appears under its name only when it is complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from core.errors import UserError
from core.runs.export.archive import ByteProgress, archive
from core.runs.export.options import OF_A_RUN, ExportRequest
from core.runs.export.snippet import snippet
from core.runs.progress.events import Progress
from core.runs.store.database import is_disk_full
from core.runs.store.record import Record

if TYPE_CHECKING:
    from core.runs.engine.laboratory import Laboratory

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Exported:
    """The written `files`, and for a lane's round their description (`export.weights.about`)."""

    files: list[Path]
    about: dict[str, Any] = field(default_factory=dict)


def export(
    run_folder: Path,
    request: ExportRequest,
    out: Path,
    laboratory: Laboratory | None = None,
    progress: Report | None = None,
) -> Exported:
    """Export from the run in `run_folder` to `out`, a file or folder that does not exist yet.

    `laboratory` provides the model. `progress` is called before each step and may raise; partial output is deleted
    then. Raises `UserError` for an unknown lane, round or option, and if the disk is full.
    """
    options = request.checked_options()
    record = Record.read(run_folder)
    out = out.expanduser().resolve()
    if request.kind in OF_A_RUN:
        if request.lane is not None or request.round is not None:
            raise UserError(f"a {request.kind} is of the whole run: leave out the lane and the round")
        with appearing(out) as draft:
            if request.kind == "zip":
                archive(record, draft, options.figures, options.ledger, packing(progress))
            else:
                draft.write_text(snippet(record, out.name), encoding="utf-8")
        return Exported([out])
    from core.runs.engine.laboratory import Laboratory
    from core.runs.export.weights import export_weights
    from core.runs.opened.run import LaneAt, OpenedRun

    run = OpenedRun(record.folder.path, laboratory or Laboratory(record.folder.path))
    label = record.lane(request.lane)
    number = record.round(label, request.round)
    if number == 0:
        raise UserError(f"round 0 of {label} is the unedited model: there is no change to export")
    with appearing(out) as draft:
        about = export_weights(LaneAt(run.lane(label), number), request.kind, draft, options, progress)
    return Exported(sorted(path for path in out.rglob("*") if path.is_file()) if out.is_dir() else [out], about)


def packing(progress: Report | None) -> ByteProgress | None:
    """A function that reports how much of a zip is written; None without `progress`."""
    if progress is None:
        return None
    return lambda done, total: progress(Progress(phase="packing", done=done, total=total, message="Packing the files"))


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A temporary path for the file or folder `out`. It is renamed to `out` at the end of the `with` block.

    Raises `UserError` if `out` exists, cannot be written, or does not fit on the disk. Partial output is deleted.
    """
    if out.exists():
        raise UserError(f"{out}: is there already; choose another name, or remove it first")
    draft = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        draft.rename(out)
    except UserError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise UserError(f"{out}: the disk is full; make room, or export to another disk") from None
        if isinstance(error, OSError):
            raise UserError(f"{error.filename or out}: {error.strerror or error}; choose another place") from None
        if isinstance(error, SafetensorError):  # writes files by itself
            raise UserError(f"{out}: cannot be written ({error}); choose another place") from None
        raise
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            with suppress(OSError):
                draft.unlink()
