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
import os, sys, tempfile
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
from lab_app.server import stubs
stubs.leave_out()
stubs.leave_out()
import gradio, gradio.component_meta as meta
print(sum(isinstance(finder, stubs.Finder) for finder in sys.meta_path), meta.create_or_modify_pyi.__module__,
      gradio.HTML(apply_default_css=False).get_block_name())
gradios = set(sys.modules)
from lab_app.lab import Lab
from lab_app.page import build
import lab_app.launch
build(Lab(tempfile.mkdtemp(), worker=False))
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - gradios}))
"""
HEAVY = {"torch", "transformers", "sklearn", "umap", "numba", "scipy", "datasets", "pyarrow", "lm_eval", "accelerate"}


@pytest.fixture(scope="module")
def built():
    """What a process says that builds the page: how Gradio came, and what was imported besides."""
    done = subprocess.run([sys.executable, "-c", BUILT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_gradios_stubs_are_left_out_and_components_work(built):
    plain = "import gradio.component_meta as meta; print(meta.create_or_modify_pyi.__module__)"
    usual = subprocess.run([sys.executable, "-c", plain], cwd=ROOT, check=True, capture_output=True, text=True)
    assert usual.stdout.split() == ["gradio.component_meta"]
    assert built[0] == ["1", "lab_app.server.stubs", "html"]


def test_the_page_is_built_without_torch(built):
    """A page opens in seconds because nothing that takes seconds to import is imported for it, Gradio aside."""
    imported = set(built[-1])
    assert {"core", "lab_app"} <= imported
    assert not imported & HEAVY


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


def test_what_is_not_there_yet_says_so(tmp_path, monkeypatch, capsys):
    import app

    monkeypatch.setattr(sys, "argv", ["app.py"])
    for more, message in (
        (["--worker", "ray"], "not available yet"),
        (["--auth-file", str(tmp_path / "none")], "No such file"),
    ):
        assert app.main(["--home", str(tmp_path), *more]) == 2
        (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("app.py:")]
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
