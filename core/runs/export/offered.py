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
MAKING = ".making-"  # how folders there are called in which an export is being made
KEPT = 6  # files of a run; older ones make room
SUFFIXES = {"zip": ".zip", "snippet": ".py", "factors": ".safetensors", "lora": ".zip", "model": ".zip"}
FIGURES = re.compile(r"figures-[0-9a-f]{16}")
LARGEST_FIGURES = 16 * 2**20  # bytes of all figures that come with one export


def needs_model(payload: Mapping[str, Any]) -> bool:
    """Whether an export (a command's payload) takes the model, and so may take long."""
    return payload.get("kind") not in OF_A_RUN


def file_name(run: Run, kind: str, options: ExportOptions, lane: int = 0, round_: int = 0) -> str:
    """What an export is called: when its run was made and what is in it. `lane` counts from 1; 0: of the whole run."""
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
    """The files that are there, newest first: `{"name", "bytes", "made"}`, the last in seconds since 1970."""
    found = []
    for path in (run.folder / FOLDER).glob("edit-lab-*"):
        if path.is_file() and not path.is_symlink():
            about = path.stat()
            found.append({"name": path.name, "bytes": about.st_size, "made": about.st_mtime})
    return sorted(found, key=lambda file: (-file["made"], file["name"]))


def offered_file(run: Run, name: str) -> Path | None:
    """The file of that name among those on offer, else None: the name is looked up and never made a path."""
    return next((run.folder / FOLDER / file["name"] for file in offered(run) if file["name"] == name), None)


def keep_figures(run: Run, figures: Mapping[str, bytes]) -> str:
    """Put figures beside the run's exports, each under its name with the suffix; returns what the command `export`
    takes as its "figures". The names are the caller's own."""
    token = f"figures-{secrets.token_hex(8)}"
    folder = run.folder / FOLDER / token
    folder.mkdir(parents=True)
    for name, data in figures.items():
        (folder / name).write_bytes(data)
    return token


def drop_figures(run: Run, payload: Mapping[str, Any]) -> None:
    """Take away the figures that came with an export (a command's payload): it was made, or will not be."""
    token = str(payload.get("figures") or "")
    if FIGURES.fullmatch(token):
        shutil.rmtree(run.folder / FOLDER / token, ignore_errors=True)


def clear_drafts(home: Path) -> None:
    """Take away what a worker that died had written of exports; for a new worker, before it begins."""
    for folder in home.glob(f"runs/*/{FOLDER}/{MAKING}*"):
        shutil.rmtree(folder, ignore_errors=True)
