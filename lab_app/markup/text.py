"""Numbers and states in words."""

from __future__ import annotations

PHASES = {
    "loading": "loading the model",
    "statistics": "collecting layer statistics",
    "contexts": "sampling contexts",
    "training": "training what the method needs",
    "values": "optimising values",
    "layers": "writing layers",
    "scores": "scoring facts",
    "tasks": "running tasks",
    "inside": "analyzing weights and states",
    "maps": "drawing maps",
}
COUNTED = {"values": "optimising values, step {} of {}", "layers": "writing layer {} of {}"}
STATES = {
    "queued": "waiting",
    "running": "running",
    "paused": "paused",
    "stopped": "stopped",
    "failed": "failed",
    "done": "finished",
}


def doing(phase: str, done: int | float = 0, total: int | float = 0) -> str:
    """The current phase of a run, with the step where steps are counted.

    >>> doing("values"), doing("values", 7, 25), doing("tasks", 1, 4)
    ('optimising values', 'optimising values, step 7 of 25', 'running tasks')
    """
    if phase in COUNTED and done and total:
        return COUNTED[phase].format(done, total)
    return PHASES.get(phase, phase)


def lasting(seconds: float | None) -> str:
    """A duration in words: "about 2 min", "40 s"; empty for None.

    >>> [lasting(s) for s in (None, 0.4, 12, 95, 4000, 90000)]
    ['', 'a moment', '12 s', '2 min', '1 h 7 min', '25 h']
    """
    if seconds is None or seconds < 0:
        return ""
    if seconds < 1:
        return "a moment"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 10 and rest else f"{hours} h"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "fact"), plural(1200, "fact")
    ('1 fact', '1,200 facts')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(message: str) -> str:
    """A message as a sentence of its own.

    >>> sentence("no run is there"), sentence("Why?")
    ('No run is there.', 'Why?')
    """
    return message and f"{message[:1].upper()}{message[1:]}{'' if message.endswith(('.', '?', '!')) else '.'}"


def size(count: int) -> str:
    """A number of bytes in words.

    >>> size(900), size(3_250_000), size(16_400_000_000)
    ('1 KB', '3.2 MB', '16.4 GB')
    """
    if count < 1e6:
        return f"{max(1, round(count / 1e3))} KB"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
