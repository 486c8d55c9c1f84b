"""Starting the lab as a person does."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.errors import UserError
from core.runs.spec.admission import EVERYTHING, Offer

ROOT = Path(__file__).resolve().parents[2]

BUILT = """
import os, sys, tempfile, time
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
from lab_app.server import stubs
stubs.leave_out()
before = time.process_time()
import gradio
gradios = time.process_time() - before
from lab_app.lab import Lab
from lab_app.page import build
import lab_app.launch
build(Lab(tempfile.mkdtemp(), worker=False))
heavy = sorted({"torch", "transformers", "sklearn", "umap", "datasets", "lm_eval"} & set(sys.modules))
print((time.process_time() - gradios) / gradios, *heavy)
"""


def test_the_page_is_built_quickly_and_without_torch():
    """All of it but the import of Gradio takes .6 of that import's processor time; together 3 s on an idle laptop, and
    a busy machine makes both slower."""
    done = subprocess.run([sys.executable, "-c", BUILT], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    share, *heavy = done.stdout.splitlines()[-1].split()
    assert heavy == []
    assert float(share) < 1


@pytest.mark.usefixtures("pocket")  # its worker loads it
def test_the_lab_starts_and_answers(tmp_path):
    command = [sys.executable, "app.py", "--home", str(tmp_path / "home"), "--port", "17960"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline()
            assert re.search(r"http://127\.0\.0\.1:\d+/\?key=\w{32}$", said)  # whoever has the terminal runs the lab
            address = re.search(r"http://127\.0\.0\.1:\d+/", said)[0]
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert b"Edit Lab" in answer.read()
                assert "connect-src 'self'" in answer.headers["content-security-policy"]
                assert answer.headers["referrer-policy"] == "no-referrer"
        finally:
            process.terminate()
    worker = tmp_path / "home" / "worker.log"
    assert worker.exists()  # the model is loaded while the person reads


def test_what_is_not_there_yet_says_so(tmp_path):
    given = [sys.executable, "app.py", "--home", str(tmp_path)]
    for more, message in (
        (["--worker", "ray"], "not available yet"),
        (["--auth-file", str(tmp_path / "none")], "No such file"),
    ):
        done = subprocess.run([*given, *more], cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 2, done.stderr
        (line,) = [text for text in done.stderr.splitlines() if text.startswith("app.py:")]
        assert message in line


def test_a_lab_that_others_reach_says_so():
    from lab_app.launch import exposure

    for host, share, words in (("0.0.0.0", False, "listens on 0.0.0.0"), ("127.0.0.1", True, "a public link")):
        assert words in exposure(host, share, logins=False)
        assert "--auth-file" in exposure(host, share, logins=False)
        assert exposure(host, share, logins=True) == ""
    assert exposure("127.0.0.1", False, logins=False) == exposure("localhost", False, logins=False) == ""


def test_a_lab_on_the_network_offers_what_its_command_line_says(monkeypatch):
    """As on a Space, which gives no options: nobody has a key there, and the pocket model is all there is."""
    import app
    from lab_app import lab, launch

    made = []
    monkeypatch.setattr(lab, "Lab", lambda home, **given: made.append(given) or lab_of_nobody())
    monkeypatch.setattr(launch, "serve", lambda *given, **more: None)
    for words in (["--host", "0.0.0.0"], ["--models", "a/b", "--datasets", "zsre"], ["--trust-visitors"]):
        monkeypatch.setattr(sys, "argv", ["app.py", *words])
        assert app.main() == 0
    assert [len(given["key"]) for given in made] == [0, 32, 32]
    assert [given["offered"] for given in made] == [Offer(), Offer(("a/b",), ("zsre",)), EVERYTHING]
    assert made[1]["key"] != made[2]["key"]


def lab_of_nobody():
    return SimpleNamespace(store=SimpleNamespace(notice=None), close=lambda: None)


def test_a_taken_port_is_passed_over():
    from lab_app.launch import free_port

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert free_port("127.0.0.1", taken.getsockname()[1]) > taken.getsockname()[1]
    with pytest.raises(UserError, match="not an address of this computer"):
        free_port("203.0.113.7", None)
