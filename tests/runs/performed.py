"""The engine's events of a run, committed as a store would commit them."""

import csv
import json

from core.runs.engine import engine
from core.runs.progress.control import Control
from core.runs.spec.run_spec import RunSpec
from core.runs.store.folder import RunFolder


def rows(path):
    """The rows of a table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def performed(laboratory, spec, path, control=None, committed=(), stop_after=None):
    """All committed events of a run as dictionaries, with its folder written."""
    folder, events = RunFolder(path), list(committed)
    folder.restore(events)
    for event in engine.run(laboratory, RunSpec.from_dict(spec), folder, tuple(events), control or Control()):
        events.append(json.loads(json.dumps(event.as_dict())))
        folder.add(events[-1])
        if stop_after is not None and len(events) >= stop_after:
            break
    folder.write_tables()
    return events
