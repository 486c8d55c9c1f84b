"""A tiny model on disk, and specs about it: no assets, typed facts, few tokens of statistics."""

import json
import threading
from types import SimpleNamespace

import pytest

from core.__main__ import main
from core.measures import studies
from core.runs.store.store import Store
from core.runs.worker import process
from tests.runs.at_work import PATIENCE, until
from tests.runs.forked import Forked
from tests.runs.norms import Norms
from tests.toys import tiny_llama

SUBJECTS = ["France", "Italy", "Ada Marlow", "Bruno Keller", "Lena Marlow", "Tom Ash"]
TARGETS = ["Rome", "Paris", "Lyon", "Vienna", "Zurich", "Paris"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A random Llama with 4 layers of width 32."""
    return tiny_llama(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def texts_file(tmp_path_factory):
    """Some text to gather statistics from."""
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(f"Number {i} of France is the sea of {s} and {t}." for i in range(60) for s, t in PAIRS))
    return path


PAIRS = list(zip(SUBJECTS, TARGETS, strict=True))
FACTS = [
    {
        "subject": subject,
        "prompt": "{} was born in",
        "target": target,
        "truth": "Berlin",
        "paraphrases": [f"The home of {subject} is"],
        "neighborhood": [{"prompt": "Rome was born in", "answer": "Berlin"}],
    }
    for subject, target in PAIRS
]
LANE = {"method": "memit", "layers": [1, 2], "steps": 4, "lambda": 100, "contexts": 1, "context_length": 4}


@pytest.fixture(scope="session")
def make_spec(model_folder, texts_file):
    """A spec as a dictionary: 6 facts in rounds of 2 under two lanes, measured without tasks; `changes` on top."""

    def make(**changes):
        spec = {
            "model": str(model_folder),
            "facts": {"items": FACTS},
            "round_size": 2,
            "lanes": [
                {**LANE, "name": "plain"},
                {**LANE, "name": "guarded", "guards": [{"name": "revive", "tau": 0.2}]},
            ],
            "measure": {"tasks": False, "maps": False, "probe_rows": 64, "words": 2, "texts": str(texts_file)},
            "statistics": {"tokens": 400, "texts": str(texts_file)},
            "device": "cpu",
        }
        return spec | changes

    return make


@pytest.fixture(scope="session")
def done(make_spec, tmp_path_factory):
    """The folder of a run of the usual spec that was never stopped, made by the command line."""
    out = tmp_path_factory.mktemp("done")
    spec = out.with_suffix(".json")
    spec.write_text(json.dumps(make_spec()))
    assert main(["run", str(spec), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def working(tmp_path_factory):
    """A worker in a thread of this process, which saves loading torch again."""
    from core.runs.worker.loop import Worker

    worker = Worker(tmp_path_factory.mktemp("home"), preload=False)
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield worker
    worker.leave()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.fixture
def forked(monkeypatch):
    """Workers that a test starts are forks; those of tests/runs/test_worker.py are started as the lab does."""
    kept = {"DEVNULL": process.subprocess.DEVNULL, "TimeoutExpired": process.subprocess.TimeoutExpired}
    monkeypatch.setattr(process, "subprocess", SimpleNamespace(Popen=Forked, **kept))


@pytest.fixture
def store(working):
    """The store of that worker, as a page has it; empty again afterwards."""
    opened = Store(working.store.home)
    yield opened
    for run in opened.runs():
        opened.command(run.id, "delete")
    until(lambda: not opened.runs(), "the deletion of all runs")
    opened.close()


@pytest.fixture
def norms(monkeypatch):
    """The study "norms" is the only one; its gate is shut."""
    monkeypatch.setattr(studies, "names", lambda: ["norms"])
    true = studies.get
    monkeypatch.setattr(studies, "get", lambda name: Norms if name == "norms" else true(name))
    Norms.gate.clear()
    yield Norms
    Norms.gate.set()
