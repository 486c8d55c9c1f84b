"""`python -m core card`: a model's card as files, and bad input in one line."""

import csv
import json
import re
import signal

import pytest

from core.__main__ import main
from core.editing.statistics import written as text_of_its_own
from core.editing.statistics.second_moment import ToGather
from core.measures.studies.card import Card
from core.measures.study.workload import WRITING, statistics_work
from core.runs.engine import laboratory as laboratory_module
from core.runs.engine.laboratory import Laboratory
from core.runs.export.card import across, cell, markdown, table
from core.runs.opened.run import OpenedRun
from core.runs.opened.study import study
from core.runs.opened.without_run import case_without_run
from core.runs.progress import control
from core.runs.progress.control import Control, Paused
from core.runs.spec.run_spec import RunSpec
from tests.runs.conftest import FACTS, PAIRS

QUICK = ["--edits", "2", "--items", "2", "--tenths", "2", "--seeds", "1", "--layers", "1,2", "--tokens", "300"]


@pytest.fixture(scope="module")
def written(model_folder, texts_file, tmp_path_factory):
    """A card with facts in a table, and tasks in a folder."""
    home = tmp_path_factory.mktemp("card")
    with (home / "facts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["subject", "prompt", "target", "truth"])
        rows.writerows([subject, "{} was born in", target, "Berlin"] for subject, target in PAIRS)
    tasks = home / "tasks"
    tasks.mkdir()
    items = [{"prompt": f"{subject} is in", "choices": ["Rome", "Paris"], "answer": 1} for subject, _ in PAIRS]
    (tasks / "places.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    named = ["--facts", str(home / "facts.csv"), "--tasks", str(tasks), "--texts", str(texts_file)]
    assert main(["card", str(model_folder), *named, *QUICK, "--device", "cpu", "--out", str(home / "out")]) == 0
    return home / "out"


def test_files_of_a_card(written):
    card = json.loads((written / "card.json").read_text())
    tables = {"limits", "claims", "abilities", "zeroed", "kept", "perturbed", "edits", "layers"}
    assert set(card["tables"]) == tables
    assert {path.name for path in written.iterdir()} == {
        "card.json", "card.md", "card.html", *(f"card-{name}.csv" for name in tables)
    }  # fmt: skip
    assert card["options"] | {"layers": [1, 2], "edits": 2, "items": 2, "tenths": 2, "seeds": 1} == card["options"]
    assert card["model"]["n_layers"] == 4
    assert card["tables"]["edits"][0]["edits"] == 2
    with (written / "card-kept.csv").open() as file:
        kept = list(csv.DictReader(file))
    assert [row["percent"] for row in kept if row["asked"] == "places"] == [
        "0.0",
        "5.0",
        "10.0",
        "20.0",
        "50.0",
        "100.0",
    ]
    text = (written / "card.md").read_text()
    assert text == markdown(card)
    for row in card["tables"]["claims"]:
        assert f"- {row['sentence']}" in text
    page = (written / "card.html").read_text()
    assert "Plotly.newPlot" in page
    assert not re.search(r"<script[^>]*\ssrc=|<link\s", page)  # it needs no other file


def test_a_card_of_a_run_is_that_of_the_model(written, done):
    """The study on a run of the same model: layers change as in a round of the same facts there."""
    found = study(OpenedRun(done), "card", {"edits": 2, "layers": [1, 2], "tenths": 2, "seeds": 1, "facts": 4})
    assert found["lanes"] == ["plain", "guarded"]
    plain, guarded = ([row for row in found["tables"]["layers"] if row["lane"] == lane] for lane in found["lanes"])
    assert [row["change"] for row in plain] == [row["change"] for row in guarded]
    assert any("no tasks are named" in note for note in found["notes"])


BAD = [
    (["MODEL"], "has no world of its own; name a file of facts"),
    (["MODEL", "--facts", "{broken"], "--facts: "),
    (["MODEL", "--facts", "FACTS", "--layers", "1,x"], "should be numbers with commas"),
    (["MODEL", "--facts", "FACTS", "--layers", "1,9"], "The model has layers 0 to 3"),
    (["MODEL", "--facts", "FACTS", "--tenths", "11"], "should be ≤ 10"),
    (["MODEL", "--facts", "FACTS", "--out", "FACTS"], "is a file; give a folder"),
    (["nowhere/at/all", "--facts", "FACTS"], "There is no model folder"),
    (["MODEL", "--facts", "FACTS", "--out", "OUT"], "holds a card already"),
]


@pytest.mark.parametrize("arguments, message", BAD)
def test_bad_input_is_one_line(written, model_folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    words = {"MODEL": model_folder, "FACTS": written.parent / "facts.csv", "OUT": written}
    assert main(["card", *(str(words.get(part, part)) for part in arguments)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "card").exists()


def test_studies_without_a_run(written, model_folder, texts_file, tmp_path, capsys):
    """The sweep over layers gathers the statistics of all its windows; the lens reads the unedited model."""
    facts = ["--facts", str(written.parent / "facts.csv"), "--texts", str(texts_file), "--tokens", "300"]
    for name, options in (("layers", ["edits=2", "width=2", "facts=0"]), ("lens", ["facts=2"])):
        settings = [word for option in options for word in ("--set", option)]
        assert main(["study", name, str(model_folder), *facts, *settings, "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "study-layers.json").read_text())
    assert [row["layers"] for row in found["tables"]["windows"]] == ["0-1", "1-2"]
    lens = json.loads((tmp_path / "out" / "study-lens.json").read_text())
    assert {row["round"] for row in lens["tables"]["lens"]} == {0}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"study-layers-windows.csv", "study-layers.html", "study-lens-lens.csv", "study-lens.html"}
    bad = ["study", "trace", str(model_folder), *facts, "--set", "windows=2", "--out", str(tmp_path / "out")]
    capsys.readouterr()
    assert main(bad) == 2
    assert 'did you mean "window"' in capsys.readouterr().err


def test_an_estimate_counts_the_statistics_that_are_missing(model_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(text_of_its_own.ROWS, "cpu", 8)
    monkeypatch.setattr(text_of_its_own, "LENGTH", 32)
    spec = {"model": str(model_folder), "facts": {"items": FACTS}, "lanes": [{"method": "memit"}], "device": "cpu"}
    spec = RunSpec.from_dict(spec | {"statistics": {"tokens": 200}, "measure": {"tasks": False}})
    case, card = case_without_run(Laboratory(tmp_path), spec, Control()), Card(layers=(1, 2))
    missing = ToGather(written=256, tokens=200, layers=(1, 2))
    assert not (tmp_path / "written").exists()  # nobody has asked for text yet
    assert case.session.to_gather([1, 2]) == missing
    token = 2 * case.lm.n_parameters
    expected = token * 200 * 3 / 4 + 2 * 200 * case.lm.d_ffn**2 + WRITING * token * 256
    work, before = statistics_work(case, [1, 2]), card.seconds(case, [0])
    assert work.passes == pytest.approx(expected)
    case.session.ahead([2])
    assert case.session.to_gather([1, 2]) == ToGather(0, 200, (1,))
    case.session.ahead([1])
    again = case_without_run(Laboratory(tmp_path), spec, Control())  # it finds them on the disk
    assert case.session.to_gather([1, 2]) == again.session.to_gather([1, 2]) == ToGather()
    assert before - card.seconds(again, [0]) == pytest.approx(work.seconds(case.lm))


def test_a_study_ends_at_once_while_statistics_are_gathered(written, model_folder, tmp_path, monkeypatch, capsys):
    def terminated(folder, lm, layers, corpus, tokens, skip_bos, heartbeat, progress):
        signal.raise_signal(signal.SIGTERM)
        heartbeat()
        pytest.fail("gathering went on")

    monkeypatch.setattr(control, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(laboratory_module, "cached_moments", terminated)
    facts = ["--facts", str(written.parent / "facts.csv"), "--device", "cpu", "--out", str(tmp_path / "out")]
    for command in (["card", str(model_folder)], ["study", "layers", str(model_folder)]):
        texts = ["--texts", str(written.parent / "facts.csv")]
        assert main([*command, *facts, *texts, "--tokens", "300"]) == 3
        assert "Stopped; nothing was written; statistics gathered so far are kept." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_who_leaves_finishes_a_step_but_not_what_comes_before_the_first(monkeypatch):
    monkeypatch.setattr(control, "POLL_SECONDS", 0.0)
    early, late = Control(), Control()
    early.leave("closing")
    with pytest.raises(Paused, match="closing"):
        early.heartbeat()
    late.boundary()
    late.leave("closing")
    late.heartbeat()
    with pytest.raises(Paused, match="closing"):
        late.boundary()


def test_tables_as_text():
    assert table([{"lane": "a", "x": 1, "y": None}]) == ["| x | y |", "|---|---|", "| 1 | – |"]
    rows = [
        {"at": at, "asked": asked, "score": score}
        for at, asked, score in ((0, "a", 0.5), (0, "b", 1.0), (5, "a", 0.25))
    ]
    assert across(rows, "at", "asked")[2:] == ["| 0 | 0.5 | 1 |", "| 5 | 0.25 | – |"]
    assert [cell(value) for value in (1234.5, 0.12345, 2e12, 7, "a|b")] == ["1,234", "0.123", "2.0e+12", "7", "a\\|b"]
