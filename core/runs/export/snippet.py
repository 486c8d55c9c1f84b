"""A run as a Python file that repeats it. The file holds the spec and reads nothing from the run's folder."""

from __future__ import annotations

import json
from pathlib import Path
from pprint import pformat

from core.runs.spec.recorded import as_asked
from core.runs.store.record import Record

TEMPLATE = '''\
"""Repeats a run of Edit Lab without a page, and tells whether the edited weights come out the same.

    python {name} [FOLDER]        (with Edit Lab's folder as working directory, or on PYTHONPATH)

Writes spec.json, events.jsonl, rounds.csv, layers.csv, facts.csv and ledger/ into FOLDER (default: {stem}-again).
Numbers are the same to the last bit on the same kind of CPU with the same versions:
{versions}
"""

import json
import sys
from pathlib import Path

import torch

import core as lab

THREADS = {threads}
SPEC = r\'\'\'
{spec}
\'\'\'
# By lane: its last round then, and the beginning of SHA-256 of each edited matrix after it, by layer.
HASHES = {hashes}


def repeat(folder: Path) -> str:
    """Perform the run in `folder`, which must be new; returns how it ended: done or stopped."""
    torch.set_num_threads(THREADS)
    run = lab.run(json.loads(SPEC), out=folder)
    found = {{(event["lane"], event["round"]): event["hash"] for event in run.events if event["kind"] == "edited"}}
    for lane, (number, hashes) in HASHES.items():
        there = found.get((lane, number))
        said = "the same weights, bit for bit" if there == hashes else "other weights" if there else "not reached"
        print(f"{{lane}}, round {{number}}: {{said}}")
    return run.status


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "{stem}-again")
    if folder.exists():
        sys.exit(f"error: {{folder}} is there already; name a new folder")
    try:
        sys.exit(0 if repeat(folder) == "done" else 3)
    except lab.UserError as error:
        print(f"error: {{error}}", file=sys.stderr)
        sys.exit(3)
'''


def snippet(record: Record, name: str) -> str:
    """The text of the file, which will be called `name`.

    A spec may name other files (a model's folder, facts, texts). They are needed wherever the file is run.
    """
    started, past = record.started, record.past
    last = {lane["label"]: past.last_edit(lane["label"]) for lane in started["lanes"]}
    events = {lane: record.edited(lane, number) for lane, number in last.items()}
    hashes = {lane: (event["round"], dict(event["hash"])) for lane, event in events.items() if event is not None}
    return TEMPLATE.format(
        name=_plain(name),
        stem=_plain(Path(name).stem),
        versions=", ".join(f"{package} {version}" for package, version in started["versions"].items()),
        threads=int(started["model"].get("threads") or 1),
        spec=_in_quotes(record),
        hashes=pformat(hashes, width=100, sort_dicts=False),
    )


def _in_quotes(record: Record) -> str:
    """The spec as JSON for a raw string in single quotes: single quotes are written as escapes of JSON."""
    recipes = [entry["recipe"] for entry in record.started["lanes"]]
    spec = {**record.spec.as_dict(), "lanes": as_asked(record.spec.lanes, recipes)}
    return json.dumps(spec, indent=2, ensure_ascii=False).replace("'", "\\u0027")


def _plain(name: str) -> str:
    """A file name as it may stand in a docstring and a string."""
    return "".join(letter for letter in name if letter.isalnum() or letter in "-_. ") or "run"
