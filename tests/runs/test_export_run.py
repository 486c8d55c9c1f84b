"""A run exported whole: as a zip that says nothing of this computer, and as a file that repeats it."""

import json
import os
import runpy
import sys
import zipfile

import pytest

from core.__main__ import main
from core.errors import UserError
from core.runs.export.archive import pack_folder
from core.runs.export.export import export
from core.runs.export.options import ExportRequest
from core.runs.export.snippet import snippet
from core.runs.progress.events import Warned
from core.runs.store.folder import RunFolder
from core.runs.store.record import Record, public_name
from tests.runs.at_work import LITTLE
from tests.runs.conftest import FACTS, LANE
from tests.runs.tables import TABLES, table

pytestmark = pytest.mark.slow


def names(path):
    with zipfile.ZipFile(path) as file:
        return file.namelist()


def test_a_zip_holds_what_others_need(done, tmp_path, capsys):
    figures = tmp_path / "figures"
    (figures / "more").mkdir(parents=True)
    (figures / "scores.svg").write_text("<svg/>")
    (figures / "more" / "map.png").write_bytes(b"png")
    (figures / ".hidden").write_text("no")
    (figures / "link.svg").symlink_to(done / "lab.sqlite")
    bare, full = tmp_path / "bare.zip", tmp_path / "full.zip"
    assert main(["export", str(done), "--as", "zip", "--out", str(bare)]) == 0
    assert capsys.readouterr().out == f"{bare}\n"
    assert {"spec.json", "events.jsonl", "versions.json", *TABLES} <= set(names(bare))
    assert not [name for name in names(bare) if name.startswith(("ledger", "lab", "run.json", "/", "."))]
    export(done, ExportRequest(kind="zip", options={"figures": str(figures), "ledger": True}), full)
    more = set(names(full)) - set(names(bare))
    assert {name for name in more if name.startswith("figures")} == {"figures/scores.svg", "figures/more/map.png"}
    assert len([name for name in more if name.startswith("ledger/plain-")]) == 3
    assert names(full) == sorted(names(full))
    with zipfile.ZipFile(full) as file:
        assert file.testzip() is None
        assert file.read("rounds.csv") == (done / "rounds.csv").read_bytes()
        one = next(name for name in more if name.startswith("ledger"))
        assert file.read(one) == (done / one).read_bytes()
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        versions = json.loads(file.read("versions.json"))
    assert versions["versions"]["python"] == sys.version.split()[0]
    assert versions["model"]["fingerprint"] == Record.read(done).started["model"]["fingerprint"]


def test_the_same_run_gives_the_same_bytes(done, tmp_path):
    export(done, ExportRequest(kind="zip", options={"ledger": True}), tmp_path / "a.zip")
    for path in done.rglob("*.csv"):
        os.utime(path, (0, 0))
    export(done, ExportRequest(kind="zip", options={"ledger": True}), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_zip_names_no_place_on_this_computer(done, tmp_path):
    folder, copy = RunFolder(done), tmp_path / "run"
    copy.mkdir()
    spec = folder.read_spec()
    model, texts = spec["model"], spec["statistics"]["texts"]
    said = Warned(message=f"The texts {texts} are few; see {model}/config.json and {copy}/ledger.").as_dict()
    (copy / "spec.json").write_text(json.dumps(spec))
    lines = (done / "events.jsonl").read_text() + json.dumps(said) + "\n"
    (copy / "events.jsonl").write_text(lines)
    export(copy, ExportRequest(kind="zip"), tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as file:
        everything = {name: file.read(name).decode() for name in file.namelist()}
    for text in everything.values():
        assert model not in text
        assert str(tmp_path) not in text
        assert str(done.parent.parent) not in text
    assert json.loads(everything["spec.json"])["model"] == public_name(model) == model.rpartition("/")[2]
    assert json.loads(everything["spec.json"])["statistics"]["texts"] == "texts.txt"
    assert json.loads(everything["spec.json"])["measure"]["texts"] == "texts.txt"
    last = json.loads(everything["events.jsonl"].splitlines()[-1])["message"]
    assert last == f"The texts texts.txt are few; see {public_name(model)}/config.json and run/ledger."
    assert [public_name(name) for name in ("pocket", "openai-community/gpt2", "/home/anna/gpt2", "~/gpt2")] == [
        *("pocket", "openai-community/gpt2", "gpt2", "gpt2")
    ]


def test_a_folder_is_packed_under_its_name(tmp_path):
    (tmp_path / "adapter" / "more").mkdir(parents=True)
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter" / "more" / "b.txt").write_text("b")
    pack_folder(tmp_path / "adapter", tmp_path / "adapter.zip")
    assert names(tmp_path / "adapter.zip") == ["adapter/adapter_config.json", "adapter/more/b.txt"]


NASTY = [
    {**FACTS[0], "target": "R'''ome \\u0041 \"é\" \U0001f600 \u2028 {x}"},
    *FACTS[1:3],
]


def test_the_snippet_repeats_the_run(make_spec, tmp_path, monkeypatch, capsys):
    """Its facts, lane and title hold all that could end a string of Python."""
    lanes = [{**LANE, "name": "it's \\ '''\U0001f600\"\"\" {0}"}]
    spec = make_spec(facts={"items": NASTY}, lanes=lanes, measure=LITTLE, title="'''+exit()+r'''\\")
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    assert main(["run", str(tmp_path / "spec.json"), "--out", str(tmp_path / "run")]) == 0
    (file,) = export(tmp_path / "run", ExportRequest(kind="snippet"), tmp_path / "re'pe\"at.py").files
    (tmp_path / "run").rename(tmp_path / "gone")
    assert str(tmp_path / "run") not in file.read_text()
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [str(file)])
    for status in (0, "error: repeat-again is there already; name a new folder"):
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(file), run_name="__main__")
        assert left.value.code == status
    assert f"{lanes[0]['name']}, round 2: the same weights, bit for bit" in capsys.readouterr().out
    for name in TABLES:
        assert table(tmp_path / "repeat-again" / name) == table(tmp_path / "gone" / name)
    again, before = (RunFolder(tmp_path / name).read_spec() for name in ("repeat-again", "gone"))
    again.pop("resolved"), before.pop("resolved")
    assert again == before


def test_a_snippet_tells_other_weights(done, tmp_path, monkeypatch, capsys):
    text = snippet(Record.read(done), "again.py")
    begun = imported(text)
    begun["HASHES"]["plain"] = (3, {"1": "0", "2": "0"})
    begun["HASHES"]["gone"] = (4, {"1": "0"})
    begun["SPEC"] = json.dumps(json.loads(begun["SPEC"]) | {"measure": LITTLE})
    assert begun["repeat"](tmp_path / "out") == "done"
    said = capsys.readouterr().out
    assert "plain, round 3: other weights" in said
    assert "gone, round 4: not reached" in said
    assert "guarded, round 3: the same weights, bit for bit" in said


def imported(text):
    """The names of a snippet that was imported, not run; its functions see changes to them."""
    module = {"__name__": "again"}
    exec(compile(text, "again.py", "exec"), module)
    return module


def test_a_run_that_goes_on_is_exported_as_far_as_it_is_written(done, tmp_path):
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "spec.json").write_text((done / "spec.json").read_text())
    whole = (done / "events.jsonl").read_text()
    (copy / "events.jsonl").write_text(whole + whole[:40])
    export(copy, ExportRequest(kind="zip"), tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as file:
        assert file.read("events.jsonl").count(b"\n") == whole.count("\n")


def test_a_run_that_has_not_begun_has_nothing_to_export(done, tmp_path):
    (tmp_path / "spec.json").write_text((done / "spec.json").read_text())
    with pytest.raises(UserError, match=r"events.jsonl is missing or damaged"):
        export(tmp_path, ExportRequest(kind="zip"), tmp_path / "out.zip")
    (tmp_path / "events.jsonl").write_text("")
    with pytest.raises(UserError, match="has not begun"):
        export(tmp_path, ExportRequest(kind="zip"), tmp_path / "out.zip")
    with pytest.raises(UserError, match="is no folder; figures are given"):
        export(done, ExportRequest(kind="zip", options={"figures": tmp_path / "nowhere"}), tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_a_full_disk_leaves_no_zip(done, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.runs.export.archive.zipfile.ZipFile.open", full)
    with pytest.raises(UserError, match="out.zip: the disk is full"):
        export(done, ExportRequest(kind="zip"), tmp_path / "out.zip")
    assert not list(tmp_path.iterdir())
