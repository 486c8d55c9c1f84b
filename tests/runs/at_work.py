"""A worker at work, for tests: what is asked of its store, and waiting for what comes of it."""

import os
import signal
import time

from core.editing.rounds.effect import LITTLE_CHANGE, NO_VALUES
from core.runs.spec.run_spec import RunSpec
from core.runs.worker.process import worker_lives

LITTLE = {"tasks": False, "maps": False, "inside": False, "words": 1, "perplexity": 0}
PATIENCE = 300  # seconds until a test gives up; what is waited for comes late on a busy machine


def until(condition, what="the condition"):
    """What `condition()` gives when it gives something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} did not come about")


def kill(process, store):
    """Kill the worker of a `WorkerProcess`, which then knows that it is gone."""
    os.kill(store.worker().pid, signal.SIGKILL)
    process.close(PATIENCE)  # its lock is free a little before it is gone
    until(lambda: not worker_lives(process.home), "the worker's death")


def kinds(store, run, kind):
    """The run's events of one kind."""
    return [event for _, event in store.events(run) if event["kind"] == kind]


def warnings(store, run):
    """What a run was warned of, but for what every toy run is told: that its edits do little."""
    return [event for event in kinds(store, run, "warned") if event["about"] not in (LITTLE_CHANGE, NO_VALUES)]


def queued(store, spec, owner="anna"):
    """A run put into the queue; its id."""
    return store.create_run(RunSpec.from_dict(spec).as_dict(), owner=owner)


def answered(store, command):
    """The command, once the worker has answered it."""
    return until(lambda: (found := store.answer(command)).state != "waiting" and found, f"an answer to {command}")


def status(store, run, wanted):
    """Wait for a run's status."""
    until(lambda: store.get(run).status in (wanted, "failed"), f"status {wanted}")
    assert store.get(run).status == wanted, store.get(run).message


def long(make_spec, **changes):
    """A spec of twelve edits with few measures."""
    return make_spec(round_size=1, measure=LITTLE, **changes)
