"""Without a hub id in the spec nothing leaves the machine: the lab, its worker and a run, with sockets refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client

from core.runs.store.store import Store
from core.runs.worker.loop import WARMING
from tests.runs.at_work import until

ROOT = Path(__file__).parents[1]
SPEC = {
    "model": "pocket",
    "facts": {"source": "pocket", "count": 4, "unedited": 8},
    "round_size": 2,
    "lanes": [{"method": "memit"}, {"method": "memit", "guards": [{"name": "revive", "tau": 0.1}]}],
    "statistics": {"tokens": 2000},
}


@pytest.fixture
def offline(tmp_path):
    log = tmp_path / "refused.log"
    log.touch()
    path = os.pathsep.join([str(ROOT / "tests" / "offline"), str(ROOT)])
    usual = {name: value for name, value in os.environ.items() if name[:3] != "HF_"}  # not told to stay offline
    return {**usual, "PYTHONPATH": path, "OFFLINE_LOG": str(log)}, log


def test_the_guard_itself_refuses(offline):
    environment, log = offline
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "offline: refused" in done.stderr
    assert "192.0.2.1" in log.read_text()


@pytest.mark.usefixtures("pocket")
def test_a_run_leaves_the_machine_alone(offline, tmp_path):
    environment, log = offline
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    command = [sys.executable, "-m", "core", "run", str(tmp_path / "spec.json"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "rounds.csv").read_text().count("\n") == 1 + 2 * 3
    assert log.read_text() == ""


@pytest.mark.usefixtures("pocket")
def test_the_page_and_its_worker_leave_the_machine_alone(offline, tmp_path):
    environment, log = offline
    command = [sys.executable, "app.py", "--home", str(tmp_path / "home"), "--port", "7961"]
    store = Store(tmp_path / "home")
    with subprocess.Popen(command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE) as lab:
        try:
            address = next(line for line in lab.stdout if "http://" in line).split()[-1].split("?")[0]
            client = Client(address, verbose=False)
            assert client.endpoints
            until(lambda: past_loading(store), "the worker's model")  # the server's background work has begun by then
        finally:
            lab.terminate()
            lab.wait(30)
    store.close()
    assert log.read_text() == ""


def past_loading(store):
    """Whether the worker has loaded the model."""
    worker = store.worker()
    return worker and worker.doing not in ("starting", f"{WARMING}loading the model")
