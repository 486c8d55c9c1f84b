"""Exports that the page asks of the worker: in the run's folder, under names of ours, packed for download."""

import json
import zipfile

import pytest
from safetensors import safe_open

from core.errors import UserError
from core.runs.export.export import export
from core.runs.export.offered import FOLDER, KEPT, file_name, keep_figures, needs_model, offered, offered_file
from core.runs.export.options import ExportOptions, ExportRequest
from tests.runs.at_work import LITTLE, answered, kinds, long, queued, status, until

pytestmark = pytest.mark.slow

NASTY = "../../etc/passwd <b>"


@pytest.fixture
def run(store, make_spec):
    """A run that is done, whose second lane is called like a path."""
    lanes = [{**lane} for lane in make_spec()["lanes"]]
    lanes[1]["name"] = NASTY
    made = queued(store, make_spec(lanes=lanes, measure=LITTLE))
    status(store, made, "done")
    return store.get(made)


def asked(store, run, **payload):
    return answered(store, store.command(run.id, "export", payload))


def test_all_kinds_are_made_and_packed_under_names_of_ours(store, run, tmp_path):
    made = {}
    for kind in ("zip", "snippet", "factors", "lora", "model"):
        place = {} if kind in ("zip", "snippet") else {"lane": NASTY, "round": 2}
        found = asked(store, run, kind=kind, **place)
        assert found.state == "done", found.answer
        made[kind] = found.answer
        assert offered_file(run, found.answer["name"]).stat().st_size == found.answer["bytes"]
    assert {file["name"] for file in offered(run)} == {one["name"] for one in made.values()}
    assert not [path for path in (run.folder / FOLDER).iterdir() if path.is_dir()]
    assert "lane-2-round-2-lora" in made["lora"]["name"]
    for name in (made["lora"]["name"], made["model"]["name"]):
        with zipfile.ZipFile(run.folder / FOLDER / name) as file:
            assert {inside.split("/")[0] for inside in file.namelist()} == {name.removesuffix(".zip")}
            about = json.loads(file.read(f"{name.removesuffix('.zip')}/edit-lab.json"))
            assert (about["lane"], about["round"]) == (NASTY, 2)
    assert [layer["layer"] for layer in made["lora"]["about"]["layers"]] == [1, 2]
    assert all(layer["error"] < 1e-5 for layer in made["lora"]["about"]["layers"])
    cut = asked(store, run, kind="lora", lane="plain", options={"rank": 1}).answer
    assert "lane-1-round-3-lora-rank-1" in cut["name"]
    assert all(layer["rank"] == 1 and layer["error"] > 1e-3 for layer in cut["about"]["layers"])
    alone = tmp_path / "factors.safetensors"
    export(run.folder, ExportRequest(kind="factors", lane=NASTY, round=2), alone)
    with safe_open(alone, "pt") as one, safe_open(run.folder / FOLDER / made["factors"]["name"], "pt") as other:
        assert set(one.keys()) == set(other.keys())
        assert all((one.get_tensor(key) == other.get_tensor(key)).all() for key in one.keys())  # noqa: SIM118 (it cannot be iterated)


def test_what_goes_along_what_cannot_be_and_what_is_found(store, run, make_spec):
    figures_go_along_and_are_gone_afterwards(store, run)
    a_file_is_looked_up_by_its_name_alone(store, run)
    a_zip_of_one_run_does_not_wait_for_another(store, run, make_spec)
    old_files_make_room(store, run)
    what_cannot_be_is_said_without_paths(store, run)


def figures_go_along_and_are_gone_afterwards(store, run):
    token = keep_figures(run, {"scores.svg": b"<svg/>"})
    found = asked(store, run, kind="zip", figures=token)
    with zipfile.ZipFile(offered_file(run, found.answer["name"])) as file:
        assert file.read("figures/scores.svg") == b"<svg/>"
    assert not (run.folder / FOLDER / token).exists()
    found = asked(store, run, kind="zip", figures="../..")
    with zipfile.ZipFile(offered_file(run, found.answer["name"])) as file:
        assert not [name for name in file.namelist() if name.startswith("figures")]


def what_cannot_be_is_said_without_paths(store, run):
    for payload, message in (
        ({"kind": "zp"}, "did you mean"),
        ({"kind": "zip", "options": {"figures": "/etc"}}, "not as a path"),
        ({"kind": "lora", "lane": "plain", "round": 9}, "round 9 of plain is not edited yet"),
        ({"kind": "lora"}, "name one of them"),
        ({"kind": "lora", "lane": "plain", "options": {"rank": -3}}, "rank should be"),
    ):
        found = asked(store, run, **payload)
        assert found.state == "failed"
        assert message in found.answer["message"]
    (run.folder / "ledger").rename(run.folder / "lost")
    found = asked(store, run, kind="factors", lane="plain", round=1)
    assert "the run: round 1 of lane" in found.answer["message"]
    assert str(run.folder) not in found.answer["message"]
    assert all(not path.is_dir() for path in (run.folder / FOLDER).iterdir())


def a_file_is_looked_up_by_its_name_alone(store, run):
    name = asked(store, run, kind="snippet").answer["name"]
    for wrong in (f"../exports/{name}", f"./{name}", "../spec.json", "", "..", str(run.folder / FOLDER / name)):
        assert offered_file(run, wrong) is None
    (run.folder / FOLDER / "edit-lab-link.zip").symlink_to(run.folder / "spec.json")
    assert offered_file(run, "edit-lab-link.zip") is None
    assert offered_file(run, name).read_text().startswith('"""Repeats a run')


def old_files_make_room(store, run):
    for number in range(KEPT + 3):
        (run.folder / FOLDER / f"edit-lab-{number}.zip").write_bytes(b"")
    name = asked(store, run, kind="snippet").answer["name"]
    assert len(offered(run)) == KEPT
    assert offered(run)[0]["name"] == name


def a_zip_of_one_run_does_not_wait_for_another(store, run, make_spec):
    going = queued(store, long(make_spec))
    until(lambda: kinds(store, going, "edited"), "the first edit")
    assert asked(store, run, kind="zip").state == "done"
    assert asked(store, store.get(going), kind="snippet").state == "done"
    assert asked(store, run, kind="factors", lane="plain", round=1).state == "done"


def test_names_tell_what_is_in_a_file(store, make_spec):
    run = store.get(queued(store, make_spec()))
    options = ExportOptions(rank=8, error=0.05, dtype="bfloat16")
    assert file_name(run, "lora", options, 2, 5).endswith("-lane-2-round-5-lora-rank-8-error-0.05-bfloat16.zip")
    assert file_name(run, "zip", ExportOptions(ledger=True)).endswith("-run-ledger.zip")
    assert run.id[:6] not in file_name(run, "zip", ExportOptions())
    assert [needs_model({"kind": kind}) for kind in ("zip", "snippet", "lora")] == [False, False, True]
    with pytest.raises(UserError, match="unknown command"):
        store.command(run.id, "exports")
