"""Exports a run, or a lane after a round, for the worker, the command line and the library.

Whatever is exported appears under its name when it is complete, or not at all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from core.errors import UserError
from core.runs.export.archive import Told, archive
from core.runs.export.options import OF_A_RUN, ExportOptions
from core.runs.export.snippet import snippet
from core.runs.progress.events import Progress
from core.runs.store.database import is_disk_full
from core.runs.store.record import Record

if TYPE_CHECKING:
    from core.runs.engine.laboratory import Laboratory

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Exported:
    """What was written: `files`, and for a lane's round what is said about it in them (`export_weights.about`)."""

    files: list[Path]
    about: dict[str, Any] = field(default_factory=dict)


def export(
    run_folder: Path,
    kind: str,
    out: Path,
    lane: str | None = None,
    round_: int | None = None,
    options: Mapping[str, Any] | None = None,
    laboratory: Laboratory | None = None,
    progress: Report | None = None,
) -> Exported:
    """Export from the run in `run_folder` to `out`, a file or folder that is not there yet.

    `kind` is one of `options.KINDS`, `options` as in `ExportOptions`. `lane` defaults to the only one, `round_`
    to its last; a zip and a snippet are of the whole run. `laboratory` has the model, or loads it. `progress` is told
    what comes next, and may raise: then what was written is taken away again. Raises `UserError` for what is not there,
    cannot be, or has no room on the disk.
    """
    chosen = ExportOptions.checked(kind, options or {})
    record = Record.read(run_folder)
    out = out.expanduser().resolve()
    if kind in OF_A_RUN:
        if lane is not None or round_ is not None:
            raise UserError(f"a {kind} is of the whole run: leave out the lane and the round")
        with appearing(out) as draft:
            if kind == "zip":
                archive(record, draft, chosen.figures, chosen.ledger, packing(progress))
            else:
                draft.write_text(snippet(record, out.name), encoding="utf-8")
        return Exported([out])
    from core.runs.engine.laboratory import Laboratory
    from core.runs.export.weights import export_weights
    from core.runs.opened.run import LaneAt, OpenedRun

    run = OpenedRun(record.folder.path, laboratory or Laboratory(record.folder.path))
    label = record.lane(lane)
    number = record.round(label, round_)
    if number == 0:
        raise UserError(f"round 0 of {label} is the unedited model: there is no change to export")
    with appearing(out) as draft:
        about = export_weights(LaneAt(run.lane(label), number), kind, draft, chosen, progress)
    return Exported(sorted(path for path in out.rglob("*") if path.is_file()) if out.is_dir() else [out], about)


def packing(progress: Report | None) -> Told | None:
    """Reports of how much of a zip is written."""
    if progress is None:
        return None
    return lambda done, total: progress(Progress(phase="packing", done=done, total=total, message="Packing the files"))


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Where to write the file or folder that is to be `out`: it is moved there when all of it is written.

    Raises `UserError` if something is at `out` already, where nothing can be written, and on a full disk, of which
    the part that was written is taken away again.
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
