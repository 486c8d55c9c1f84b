"""The spec and the events of a stored run, read from its folder alone. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError, nearest
from core.runs.progress.events import standing
from core.runs.spec.plan import Past
from core.runs.spec.recorded import recorded_recipe
from core.runs.spec.run_spec import MOST_ROWS, RunSpec
from core.runs.store.folder import RunFolder


@dataclass(frozen=True)
class Record:
    """One run's folder as it is now. `events` are those that were not undone; `resolved` has the values of defaults."""

    folder: RunFolder
    spec: RunSpec
    resolved: dict[str, Any]
    events: list[Mapping[str, Any]]
    past: Past

    @classmethod
    def read(cls, path: Path) -> Record:
        """The record in a folder. Raises `UserError` if it has no run, or one that has not begun."""
        folder = RunFolder(path.expanduser().resolve())
        written = folder.read_spec()
        if written is None:
            raise UserError(f"{path}: no run is there (no spec.json); give the folder that --out named, or runs/<id>")
        try:
            events = standing(json.loads(line) for line in written_events(folder).split("\n") if line)
            past = Past(events)
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path}: events.jsonl is missing or damaged; resume the run to write it anew") from None
        if past.started is None:
            raise UserError(f"{path}: this run has not begun; ask again when its first round is edited")
        resolved = written.pop("resolved", {})
        return cls(folder, RunSpec.from_dict(written, max_facts=MOST_ROWS), resolved, events, past)

    @property
    def started(self) -> Mapping[str, Any]:
        """The event that opened the run."""
        assert self.past.started is not None
        return self.past.started

    def lane(self, label: str | None) -> str:
        """The lane of that label; without a label, the run's only lane. Raises `UserError`."""
        labels = [lane["label"] for lane in self.started["lanes"]]
        if label is None and len(labels) == 1:
            return labels[0]
        if label is None:
            raise UserError(f"this run has {len(labels)} lanes; name one of them: {', '.join(labels)}")
        if label not in labels:
            raise UserError(f'there is no lane "{label}"; {nearest(label, labels)}')
        return label

    def round(self, lane: str, number: int | None) -> int:
        """The round, or the lane's last if None. Raises `UserError` if it has not been edited."""
        last = self.past.last_edit(lane)
        if number is not None and not 0 <= number <= last:
            raise UserError(f"round {number} of {lane} is not edited yet; rounds 0 to {last} are")
        return last if number is None else number

    def edited(self, lane: str, number: int) -> Mapping[str, Any] | None:
        """The `edited` event of a lane's round, possibly of the lane that it branched from; None if there is none."""
        begins = {entry["label"]: entry.get("from") for entry in self.started["lanes"]}
        while begins[lane] and number <= begins[lane]["round"]:
            lane = begins[lane]["lane"]
        for event in reversed(self.events):
            if event["kind"] == "edited" and (event["lane"], event["round"]) == (lane, number):
                return event
        return None

    def recipe(self, lane: str) -> dict[str, Any]:
        """The lane's recipe, with every hyperparameter resolved."""
        return next(recorded_recipe(entry["recipe"]) for entry in self.started["lanes"] if entry["label"] == lane)


def written_events(folder: RunFolder) -> str:
    """The text of `events.jsonl` up to its last complete line: a live run may be writing the next one."""
    text = (folder.path / "events.jsonl").read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1]


def public_name(reference: str) -> str:
    """A model's or file's name as others may see it: a path on this computer is cut to its last part."""
    path = Path(reference).expanduser()
    return path.resolve().name if path.is_absolute() or path.is_dir() or reference.startswith(".") else reference
