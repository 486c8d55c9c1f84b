"""Whatever a run does, it comes to a heartbeat between any two passes of the model and any two decompositions."""

from traceback import extract_stack

import pytest
import torch

from core.measures.cost.cost_model import speed
from core.models import loading
from core.runs.engine import laboratory as laboratory_module
from core.runs.engine.laboratory import Laboratory
from core.runs.opened.run import OpenedRun
from core.runs.opened.study import study
from core.runs.progress.control import Control
from core.runs.spec.run_spec import RunSpec
from core.runs.store.store import Store
from core.runs.worker.perform import perform
from tests.runs.conftest import FACTS, LANE

STEPS = {"steps": 3, "contexts": 2, "context_length": 4}
LANES = [
    {**LANE, **STEPS, "guards": [{"name": "prune"}]},
    {**STEPS, "method": "pmet", "layers": [1, 2], "lambda": 100},
    {**STEPS, "method": "mose", "layers": [1, 2]},
    {"method": "ft_l", "layers": [1], "steps": 3, "batch": 1},
]
MEASURE = {"tasks": False, "maps": "pca", "probe_rows": 64, "words": 6, "word_tokens": 8, "probes": ["A", "B"]}
MOST = {"passes": 1, "decompositions": 6}  # pieces of work between two heartbeats; of one layer's matrices


class Counted(Control):
    """Counts what was done since the last heartbeat."""

    def __init__(self):
        super().__init__()
        self.now = {"passes": 0, "decompositions": 0}
        self.beats, self.long = 0, {}

    def did(self, what):
        self.now[what] += 1
        if self.now[what] > MOST[what]:
            way = [f"{frame.filename}:{frame.lineno}" for frame in extract_stack() if "/core/" in frame.filename]
            self.long[what, tuple(way[-6:])] = self.now[what]

    def heartbeat(self):
        self.beats += 1
        self.now = dict.fromkeys(self.now, 0)
        super().heartbeat()


@pytest.fixture
def counted(monkeypatch):
    """A control; passes through any model's last layer and decompositions count for it. Passes hold few tokens."""
    control = Counted()
    for dtype in (torch.float32, torch.float64):
        speed("cpu", dtype)  # measured once per process, on small matrices

    def load(*args, **options):
        lm = loading.load_model(*args, **options)
        lm.layers[-1].register_forward_pre_hook(lambda *_: control.did("passes"))
        lm.token_budget, lm.takes_trees = 16, False  # whether it takes prefix trees would be tried
        return lm

    monkeypatch.setattr(laboratory_module, "load_model", load)
    for name in ("svd", "eigh", "svdvals", "qr"):
        plain = getattr(torch.linalg, name)

        def counting(*args, plain=plain, **options):
            control.did("decompositions")
            return plain(*args, **options)

        monkeypatch.setattr(torch.linalg, name, counting)
    return control


def test_edits_measures_and_words_come_to_heartbeats(tmp_path, make_spec, counted):
    store = Store(tmp_path)
    spec = RunSpec.from_dict(make_spec(lanes=LANES, measure=MEASURE, facts={"items": FACTS}, round_size=6))
    run = store.get(store.create_run(spec.as_dict()))
    end = perform(store, run, Laboratory(tmp_path), counted)
    assert end.status == "done", end.message
    assert counted.beats > 300
    assert not counted.long
    store.close()


STUDIES = {
    "generation": {"facts": 4, "tokens": 8, "length": 40},
    "maps": {
        "points": 12,
    },
    "values": {},
    "angles": {},
    "keys": {},
    "perplexity": {},
    "retention": {},
    "blocks": {},
}


@pytest.mark.parametrize("name", STUDIES)
def test_studies_come_to_heartbeats(name, done, counted):
    study(OpenedRun(done, Laboratory(done), counted), name, STUDIES[name], ["guarded"], "1,3")
    assert counted.beats > 3
    assert not counted.long
