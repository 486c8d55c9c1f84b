"""A worker that does not answer is ended, says at what, and costs no committed round."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.runs.engine import laboratory as laboratory_module
from core.runs.engine.laboratory import Laboratory
from core.runs.progress.control import Control
from core.runs.store.store import Store
from core.runs.store.study_queue import Asked
from core.runs.worker.command_handler import CommandHandler, Studying
from core.runs.worker.questions import QuestionHandler
from core.runs.worker.sentinel import lives
from core.runs.worker.watchdog import CLOSED, Limits, Watchdog
from tests.runs.at_work import PATIENCE, kinds, queued, until
from tests.runs.forked import FORKS, Forked, lacks

ROOT = Path(__file__).resolve().parents[2]


class Ended(Exception):
    """The process would be gone now."""


def gone(code):
    raise Ended


class Hung:
    """A worker that is at a run of `spec` and came to no heartbeat for so many seconds."""

    def __init__(self, home, spec, silent, patience=100.0):
        self.store = Store(home)
        self.run = queued(self.store, spec)
        self.store.claim(self.run)
        self.handler = CommandHandler(self.store, QuestionHandler(Laboratory(home)))
        self.handler.take(self.run, Control())
        self.handler.last_poll = time.monotonic() - silent
        self.dog = Watchdog(self.store, self.handler, lambda: patience, lambda: "running", Limits(), gone)

    def studying(self):
        """The number of a study of the run that stands aside."""
        number = self.store.studies.add(self.run, "anna", Asked(name="norms", options={}, lanes=None, rounds="last"))
        self.store.studies.claim(number)
        self.handler.study(Studying(self.store.studies.get(number), Control()))
        return number


@pytest.fixture
def hung(tmp_path, make_spec):
    made = []

    def make(silent, **options):
        made.append(Hung(tmp_path, make_spec(), silent, **options))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def test_a_run_at_which_the_worker_hangs_fails_with_a_reason_and_is_not_tried_again_by_itself(hung):
    one = hung(silent=101)
    study = one.studying()
    with pytest.raises(Ended):
        one.dog.look()
    found = one.store.get(one.run)
    assert found.status == "failed"
    assert "did not respond for 2 min at this step (running)" in found.message
    assert "Resume the run" in found.message
    assert kinds(one.store, one.run, "finished")[-1]["message"] == found.message
    assert one.store.left_running() == []
    assert (one.store.studies.get(study).status, one.store.studies.get(study).attempts) == ("queued", 0)


def test_a_worker_that_comes_to_heartbeats_is_left_alone(hung):
    one = hung(silent=99)
    assert not one.dog.look()
    one.store.command(one.run, "pause")
    assert not one.dog.look()
    one.handler.active = None  # what is paused, idle or between two runs looks for commands all the time
    before = one.handler.last_poll
    one.handler.poll()
    assert one.handler.last_poll >= before + 99


def test_stop_reaches_a_step_that_does_not_end(hung):
    one = hung(silent=61)
    assert not one.dog.look()
    asked = one.store.command(one.run, "stop")
    with pytest.raises(Ended):
        one.dog.look()
    assert one.store.get(one.run).status == "stopped"
    assert "can be resumed" in one.store.get(one.run).message
    assert one.store.answer(asked).state == "waiting"  # the next worker finds nothing to do, and says so


def test_a_study_and_an_answer_that_hang_are_given_up(hung):
    one = hung(silent=101)
    study = one.studying()
    one.handler.active = None
    with pytest.raises(Ended):
        one.dog.look()
    assert one.store.studies.get(study).status == "failed"
    assert "did not respond for 2 min" in one.store.studies.get(study).message
    again = one.studying()
    one.store.command(one.run, "stop_study", {"study": again})
    one.handler.last_poll = time.monotonic() - 61
    with pytest.raises(Ended):
        one.dog.look()
    assert one.store.studies.get(again).status == "stopped"

    one.handler.study(None)
    one.handler.take(one.run, Control())
    number = one.store.command(one.run, "map", {"method": "tsne"})
    one.handler.serving = one.store.answer(number)
    one.handler.last_poll = time.monotonic() - 101
    with pytest.raises(Ended):
        one.dog.look()
    assert one.store.answer(number).state == "failed"
    assert "did not respond" in one.store.answer(number).answer["message"]
    assert one.store.get(one.run).status == "running"  # the next worker takes it up


def test_a_worker_that_was_told_to_go_is_told_again_and_then_ended(hung):
    one = hung(silent=0)
    one.dog.leaving()
    assert not one.dog.look()
    one.dog._left -= 7
    assert one.dog.look()
    one.dog._left -= 3
    with pytest.raises(Ended):
        one.dog.look()
    assert (one.store.get(one.run).status, one.store.get(one.run).message) == ("paused", CLOSED)
    assert not one.store.worker().alive


def test_the_end_does_not_wait_for_a_store_that_cannot_be_written(hung):
    one = hung(silent=101)
    one.dog.limits = Limits(tell=0.05)
    with one.store._database.writing(), pytest.raises(Ended):
        one.dog.look()


def test_a_worker_outlives_its_app_by_less_than_15_seconds():
    limits = Limits()
    found_out, ended = limits.look, limits.leave + limits.look + limits.tell
    assert found_out + ended < 15
    assert limits.alone + 2 * 0.5 <= 15  # what the process beside it adds: two looks


def test_patience_grows_with_what_one_decomposition_takes(tmp_path):
    laboratory = Laboratory(tmp_path)
    assert laboratory.patience() == laboratory_module.STEP_SECONDS

    class Wide:
        d_ffn, device = 14336, type("Device", (), {"type": "cpu"})

    laboratory._model = Wide()
    assert laboratory.patience() > 8 * 3600
    laboratory._loading = True
    assert laboratory.patience() == laboratory_module.LOADING_SECONDS


def test_a_process_that_has_ended_does_not_live_even_if_nobody_asked():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        until(lambda: not lives(child.pid), "its end")  # a zombie until it is waited for
    assert lives(os.getpid())


@pytest.mark.parametrize("name", ["datasets", "umap", "gradio", "lm_eval"])
def test_a_worker_imports_what_takes_long_only_when_it_is_used(name):
    process = FORKS.Process(target=lacks, args=(name,))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0


SLEEPER = "import sys, time; print(1, flush=True); time.sleep(600)"


@pytest.mark.parametrize("app_dies", [True, False])
def test_the_process_beside_the_worker_ends_it_when_nothing_in_it_can(app_dies):
    with (
        subprocess.Popen([sys.executable, "-c", SLEEPER]) as worker,
        subprocess.Popen([sys.executable, "-c", SLEEPER]) as app,
    ):
        limits = ["0.5", "600"] if app_dies else ["600", "0.5"]
        sentinel = [sys.executable, "-m", "core.runs.worker.sentinel", str(worker.pid), str(app.pid), *limits]
        with subprocess.Popen(sentinel, cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as beside:
            if app_dies:
                app.kill()
            said = beside.stderr.readline()
        assert worker.wait() == -signal.SIGKILL
        app.kill()
    assert ("its app has been gone" if app_dies else "nothing in it moved") in said


@contextmanager
def hanging(tmp_path, make_spec, *app):
    """A store, its run, the worker that hangs at it, and the file of what the worker says."""
    store, log = Store(tmp_path), tmp_path / "said.log"
    run = queued(store, make_spec())
    command = ["-m", "tests.runs.hanging", str(tmp_path), *app]
    with log.open("ab") as file:
        worker = Forked(command, stdout=file, env={**os.environ, "PYTHONPATH": str(ROOT)})
    until(lambda: (store.progress(run) or {}).get("message") == "hanging", "the call")
    yield store, run, worker, log
    store.close()


def test_sigterm_ends_a_worker_in_a_call_that_does_not_return(tmp_path, make_spec):
    with hanging(tmp_path, make_spec) as (store, run, worker, log):
        worker.terminate()
        worker.wait(PATIENCE)
        assert worker.returncode == 1
        assert "hanging.py" in log.read_text()  # where it hung, for the log
        assert (store.get(run).status, store.get(run).message) == ("paused", CLOSED)


def test_a_worker_ends_with_its_app_though_a_call_holds_its_interpreter(tmp_path, make_spec):
    with (
        subprocess.Popen([sys.executable, "-c", SLEEPER]) as app,
        hanging(tmp_path, make_spec, str(app.pid)) as (store, run, worker, log),
    ):
        app.kill()
        worker.wait(PATIENCE)
        assert worker.returncode == -signal.SIGKILL
        until(lambda: "its app has been gone" in log.read_text(), "the reason")
        assert [left.id for left in store.left_running()] == [run]
