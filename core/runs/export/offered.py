"""The files of a run that can be downloaded. Needs no torch.

The worker makes them (`core.runs.export.answer`), the page lists and sends them.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.runs.export.options import OF_A_RUN, ExportOptions
from core.runs.store.store import Run

FOLDER = "exports"  # in a run's folder
MAKING = ".making-"  # prefix of folders in which an export is being made
KEPT = 6  # files of a run; older ones are deleted
SUFFIXES = {"zip": ".zip", "snippet": ".py", "factors": ".safetensors", "lora": ".zip", "model": ".zip"}
FIGURES = re.compile(r"figures-[0-9a-f]{16}")
LARGEST_FIGURES = 16 * 2**20  # bytes of all figures of one export


def needs_model(payload: Mapping[str, Any]) -> bool:
    """Whether an export (a command's payload) needs the model, and so may take long."""
    return payload.get("kind") not in OF_A_RUN


def file_name(run: Run, kind: str, options: ExportOptions, lane: int = 0, round_: int = 0) -> str:
    """The file name of an export: when its run was created and what it contains. `lane` counts from 1; 0 stands for
    the whole run."""
    parts = ["edit-lab", time.strftime("%Y%m%d-%H%M%S", time.gmtime(run.created))]
    if lane:
        parts += [f"lane-{lane}", f"round-{round_}"]
    parts.append({"zip": "run", "snippet": "again"}.get(kind, kind))
    if kind == "lora":
        parts += [f"rank-{options.rank}"] if options.rank else []
        parts += [f"error-{options.error:g}"] if options.error else []
        parts += [options.dtype] if options.dtype != "float32" else []
    if kind == "zip":
        parts += ["ledger"] if options.ledger else []
    return "-".join(parts) + SUFFIXES[kind]


def offered(run: Run) -> list[dict[str, Any]]:
    """The files for download, newest first: `{"name", "bytes", "made"}`; `made` is in seconds since 1970."""
    files = []
    for path in (run.folder / FOLDER).glob("edit-lab-*"):
        if path.is_file() and not path.is_symlink():
            about = path.stat()
            files.append({"name": path.name, "bytes": about.st_size, "made": about.st_mtime})
    return sorted(files, key=lambda file: (-file["made"], file["name"]))


def offered_file(run: Run, name: str) -> Path | None:
    """The file of that name, or None. The name is looked up in the list and never made into a path."""
    return next((run.folder / FOLDER / file["name"] for file in offered(run) if file["name"] == name), None)


def keep_figures(run: Run, figures: Mapping[str, bytes]) -> str:
    """Store figures beside the run's exports, by file name; returns the value of "figures" for the command `export`.
    The caller must choose safe names."""
    token = f"figures-{secrets.token_hex(8)}"
    folder = run.folder / FOLDER / token
    folder.mkdir(parents=True)
    for name, data in figures.items():
        (folder / name).write_bytes(data)
    return token


def drop_figures(run: Run, payload: Mapping[str, Any]) -> None:
    """Delete the figures that came with an export (a command's payload), after it was made or given up."""
    token = str(payload.get("figures") or "")
    if FIGURES.fullmatch(token):
        shutil.rmtree(run.folder / FOLDER / token, ignore_errors=True)


def clear_drafts(home: Path) -> None:
    """Delete unfinished exports of a worker that died. A new worker calls this at its start."""
    for folder in home.glob(f"runs/*/{FOLDER}/{MAKING}*"):
        shutil.rmtree(folder, ignore_errors=True)
