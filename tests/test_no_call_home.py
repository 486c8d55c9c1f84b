"""Without a hub id in the spec nothing leaves the machine: the lab, its worker and a run, with sockets refused."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gradio_client import Client

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
    with subprocess.Popen(command, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE) as lab:
        try:
            address = next(line for line in lab.stdout if "http://" in line).split()[-1].split("?")[0]
            client = Client(address, verbose=False)
            assert client.endpoints
            time.sleep(5)  # what a server starts in the background has begun by now
        finally:
            lab.terminate()
            lab.wait(30)
    assert log.read_text() == ""
