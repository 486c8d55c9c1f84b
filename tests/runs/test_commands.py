"""Commands that take long: how far they are, giving them up, and a worker that dies at them."""

import os
import shutil
import threading

import pytest

from core.runs.export import archive
from core.runs.export import weights as export_weights
from core.runs.export.offered import FOLDER, MAKING, keep_figures, offered
from core.runs.spec.run_spec import RunSpec
from core.runs.store.commands import WITHDRAWN
from core.runs.store.store import Store
from core.runs.worker import command_handler
from core.runs.worker.loop import Worker
from core.runs.worker.process import WorkerProcess
from tests.runs.at_work import LITTLE, answered, kill, kinds, long, queued, status, until

pytestmark = pytest.mark.slow

ENDLESS = 2**36  # bytes of a table that nobody packs to its end


def test_a_command_is_answered_once(tmp_path):
    store = Store(tmp_path)
    first, second = store.command("", "probe", {"prompt": "a"}), store.command("r", "export", {"kind": "zip"})
    assert [command.id for command in store.commands.waiting("r", "export")] == [second]
    assert store.commands.withdraw(second)
    assert not store.commands.withdraw(second)
    store.set_answer(second, {"name": "made after all"})
    held = store.answer(second)
    assert (held.state, held.answer) == ("failed", {"message": WITHDRAWN, "withdrawn": True})
    store.commands.begin(first)
    store.commands.begin(first)
    assert store.answer(first).attempts == 2
    store.commands.put_back(first)
    assert store.answer(first).attempts == 0
    store.close()


@pytest.fixture
def run(store, make_spec):
    made = queued(store, make_spec(measure=LITTLE))
    status(store, made, "done")
    return store.get(made)


def slow(monkeypatch, kind):
    """Each step of an export from now on waits until the event is set: the decomposition of a layer, or 16 bytes."""
    held = threading.Event()
    if kind == "zip":
        monkeypatch.setattr(archive, "PIECE", 16)
    else:
        whole = export_weights.decomposed
        monkeypatch.setattr(export_weights, "decomposed", lambda delta: held.wait(30) and whole(delta))
    return held


@pytest.mark.parametrize("kind", ["zip", "lora", "model"])
def test_an_export_is_stopped_and_leaves_nothing(store, run, monkeypatch, kind):
    table = run.folder / "long.csv"
    if kind == "model":
        monkeypatch.setattr(archive, "PIECE", 16)
    held = slow(monkeypatch, kind)
    if kind == "zip":
        with table.open("wb") as file:
            file.truncate(ENDLESS)
    place = {} if kind == "zip" else {"lane": "plain", "round": 2}
    figures = {"figures": keep_figures(run, {"scores.svg": b"<svg/>"})} if kind == "zip" else {}
    asked = store.command(run.id, "export", {"kind": kind, **place, **figures})
    wanted = "layers" if kind == "lora" else "packing"
    until(lambda: (store.answer(asked).progress or {}).get("phase") == wanted, f"the {wanted}")
    assert list((run.folder / FOLDER).glob(f"{MAKING}*"))
    assert store.commands.withdraw(asked)
    held.set()
    probe = store.command(run.id, "probe", {"prompt": "France was born in"})
    assert answered(store, probe).state == "done"  # the worker is free again
    assert store.answer(asked).answer["message"] == WITHDRAWN
    assert not list((run.folder / FOLDER).iterdir())
    assert offered(run) == []
    table.unlink(missing_ok=True)


def test_what_is_given_up_while_it_waits_is_never_begun(tmp_path, make_spec):
    worker = Worker(tmp_path, preload=False)
    asked = worker.store.command(queued(worker.store, make_spec()), "export", {"kind": "snippet"})
    assert worker.store.commands.withdraw(asked)
    worker.handler.poll()
    assert (worker.store.answer(asked).attempts, worker.store.answer(asked).answer["message"]) == (0, WITHDRAWN)
    worker.store.close()


def test_a_lab_that_is_closed_leaves_an_export_to_the_next_worker(tmp_path, make_spec, monkeypatch):
    spec = make_spec(measure=LITTLE, round_size=6)
    store = Store(tmp_path)
    run = queued(store, spec)
    worker, thread = at_work(tmp_path)
    status(store, run, "done")
    held = slow(monkeypatch, "lora")
    asked = store.command(run, "export", {"kind": "lora", "lane": "plain"})
    until(lambda: (store.answer(asked).progress or {}).get("phase") == "layers", "a layer")
    worker.leave()
    held.set()
    thread.join()
    left = store.answer(asked)
    assert (left.state, left.attempts, left.progress) == ("waiting", 0, None)
    assert not list((store.get(run).folder / FOLDER).iterdir())
    worker, thread = at_work(tmp_path)
    assert answered(store, asked).state == "done"
    worker.leave()
    thread.join()
    store.close()


def at_work(home):
    worker = Worker(home, preload=False)
    thread = threading.Thread(target=worker.run)
    thread.start()
    return worker, thread


def test_an_export_that_kills_the_worker_is_tried_twice_and_then_answered(forked, tmp_path, make_spec, done):
    """Also what it had written is taken away, and all that was asked after it is answered."""
    store = Store(tmp_path)
    run = store.get(store.create_run(RunSpec.from_dict(make_spec()).as_dict()))
    shutil.copytree(done, run.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lab.sqlite*", "run.json"))
    store.set_status(run.id, "done")
    with (run.folder / "long.csv").open("wb") as file:
        file.truncate(ENDLESS)
    asked = store.command(run.id, "export", {"kind": "zip", "figures": keep_figures(run, {"a.svg": b"<svg/>"})})
    following = store.command(run.id, "export", {"kind": "snippet"})
    process = WorkerProcess(tmp_path, parent=os.getpid(), options=("--no-preload",))
    for attempt in (1, 2):
        process.ensure()
        until(lambda attempt=attempt: packs(store, asked, attempt), f"attempt {attempt}")
        kill(process, store)
        assert list((run.folder / FOLDER).glob(f"{MAKING}*"))
    process.ensure()
    told = answered(store, asked)
    assert (told.state, told.answer) == ("failed", {"message": command_handler.DIED.format(attempts=2)})
    assert answered(store, following).state == "done"
    assert [path.suffix for path in (run.folder / FOLDER).iterdir()] == [".py"]
    process.close(60)
    store.close()


def packs(store, asked, attempt):
    """Whether the worker is in the middle of this attempt."""
    held = store.answer(asked)
    return held.attempts == attempt and (held.progress or {}).get("done")


@pytest.mark.parametrize("kind", ["probe", "map", "fact", "film", "sandbox", "undo"])
def test_no_command_is_tried_again_and_again(tmp_path, make_spec, kind):
    worker = Worker(tmp_path, preload=False)
    run = queued(worker.store, make_spec())
    worker.store.set_status(run, "stopped")
    asked = worker.store.command(run, kind, {})
    for _ in range(command_handler.MOST_ATTEMPTS):
        worker.store.commands.begin(asked)
    worker.handler.poll()
    assert worker.store.answer(asked).answer == {"message": command_handler.DIED.format(attempts=2)}
    worker.store.close()


def test_what_only_waits_is_not_counted(store, make_spec):
    """What waits for its run to end is looked at again and again; that wears nothing out."""
    run = queued(store, long(make_spec))
    until(lambda: kinds(store, run, "edited"), "an edit")
    answered(store, store.command(run, "pause"))
    asked = store.command(run, "undo", {"to": 0})
    assert answered(store, asked).state == "done"
    assert store.answer(asked).attempts == 1  # looked at twice: while the run ended, and then
