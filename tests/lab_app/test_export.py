"""Export from the page: what is asked of the worker, and that files are found by name alone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import UserError
from core.runs.export.offered import FOLDER, LARGEST_FIGURES, keep_figures, offered
from core.runs.store.commands import WITHDRAWN
from lab_app.features import export
from lab_app.features.export import Exports, drawn, layers_of, options_of
from lab_app.server import downloads
from tests.lab_app.apart import run_apart
from tests.lab_app.synthetic import LANES, record
from tests.lab_app.worker import ScriptedWorker

PANELS = ("scores", "energy")


def asked(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


def test_a_form_becomes_options():
    assert options_of("zip", {"ledger": 1, "figures": "/etc", "rank": 3}) == {"ledger": True}
    assert options_of("model", {"ledger": True}) == {}
    assert options_of("lora", {"cut": "rank", "number": "8"}) == {"dtype": "float32", "rank": 8}
    assert options_of("lora", {"cut": "error", "number": "0,05", "dtype": "bfloat16"})["error"] == 0.05
    assert options_of("lora", {"cut": "", "number": "nonsense"}) == {"dtype": "float32"}
    for typed in ("", "many", "-1", "1e9999x", "inf"):
        with pytest.raises(UserError, match="type a number"):
            options_of("lora", {"cut": "rank", "number": typed})


def test_figures_have_the_names_of_panels():
    sent = {"scores": "<svg>a</svg>", "energy": "<script>", "../../x": "<svg/>", "map": "<svg/>"}
    assert drawn(sent, PANELS) == {"scores.svg": b"<svg>a</svg>"}
    assert drawn({"scores": "<svg>" + "x" * LARGEST_FIGURES}, PANELS) == {}
    assert drawn(["<svg/>"], PANELS) == {}


def test_errors_are_shown_by_layer():
    layer = {"layer": 3, "module": "m", "transposed": False, "rank": 2, "full_rank": 9, "norm": 1.0, "error": 0.04}
    about = {"lane": "a", "round": 2, "same_bits": True, "layers": [layer]}
    shown = layers_of(about)
    assert shown["each"] == [{"layer": 3, "rank": 2, "full_rank": 9, "error": 0.04}]
    assert layers_of({}) is None


def test_the_worker_makes_what_was_chosen(lab):
    run_apart(making(lab))


PAGE = SimpleNamespace(session_hash="a page")


async def making(lab):
    run, desk = record(lab.store, rounds=2), Exports(lab, PANELS)
    with ScriptedWorker(lab.store):
        chosen = asked(kind="lora", lane=LANES[1], round=2, cut="rank", number="1", options={"rank": 99}, figures="x")
        said = [value async for value in desk.make(run, chosen, PAGE)]
        assert said[0]["busy"]
        assert said[-1]["made"].endswith("lane-1-round-2-lora-rank-1.zip")
        assert said[-1]["layers"]["each"][0]["error"] == 0.04
        sent = json.loads((lab.store.get(run).folder / FOLDER / said[-1]["made"]).read_text())
        assert sent == {"kind": "lora", "lane": LANES[1], "round": 2, "options": {"dtype": "float32", "rank": 1}}
        chosen = asked(kind="zip", pictures={"scores": "<svg/>"})
        said = [value async for value in desk.make(run, chosen, PAGE)]
    sent = json.loads((lab.store.get(run).folder / FOLDER / said[-1]["made"]).read_text())
    assert (lab.store.get(run).folder / FOLDER / sent["figures"] / "scores.svg").read_bytes() == b"<svg/>"
    (looked,) = [value async for value in desk.look(run, PAGE)]
    assert [file["name"] for file in looked["files"]] == [file["name"] for file in offered(lab.store.get(run))]
    said = [value async for value in desk.make(run, asked(kind="../zip"), PAGE)]
    assert said[-1]["message"] == "Choose what to export."
    said = [value async for value in desk.make("", asked(kind="zip"), PAGE)]
    assert said[-1]["wrong"]


def test_an_export_is_followed_by_whoever_looks_and_stopped(lab):
    run_apart(stopping(lab))


async def stopping(lab):
    run, other, desk = record(lab.store, rounds=2), record(lab.store, rounds=2), Exports(lab, PANELS)
    with ScriptedWorker(lab.store):
        making = desk.make(run, asked(kind="model", lane=LANES[0], round=1), PAGE)
        first, further = await anext(making), await anext(making)
        assert (first["busy"], first["message"]) == (True, export.ASKING)
        assert (further["message"], further["part"]) == ("Packing the files", 0.75)
        assert [value async for value in desk.look(run, PAGE)] == []  # this page is told already
        looking = desk.look(run, SimpleNamespace(session_hash="another page"))
        assert (await anext(looking))["command"] == further["command"]
        await desk.stop(other, asked(command=further["command"]))
        assert lab.store.answer(further["command"]).state == "waiting"  # of another run
        told = await desk.stop(run, asked(command=further["command"]))
        assert told["message"] == WITHDRAWN
        for said in (making, looking):
            last = [value async for value in said][-1]
            assert (last["message"], last["wrong"], last.get("busy")) == (WITHDRAWN, False, None)
    assert desk.following == set()
    lab.store.command(run, "export", {"kind": "zip", "figures": keep_figures(lab.store.get(run), {"a.svg": b""})})
    waiting = lab.store.commands.waiting(run, "export")[0]
    await desk.stop(run, asked(command=waiting.id))
    assert not list((lab.store.get(run).folder / FOLDER).iterdir())


def test_a_file_is_fetched_by_name_and_nothing_else_is(served: Any) -> None:
    run = record(served.store, rounds=1)
    folder = served.store.get(run).folder / FOLDER
    folder.mkdir()
    (folder / "edit-lab-x.zip").write_bytes(b"zipped")
    with urllib.request.urlopen(served.address + downloads.address(run, "edit-lab-x.zip")) as answer:
        assert answer.read() == b"zipped"
        assert answer.headers["content-disposition"] == 'attachment; filename="edit-lab-x.zip"'
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in (
        f"/lab/exports/{run}/run.json",
        f"/lab/exports/{run}/..%2Frun.json",
        f"/lab/exports/{run}/%2e%2e/run.json",
        f"/lab/exports/..%2F..%2F{run}/edit-lab-x.zip",
        "/lab/exports/nothing/edit-lab-x.zip",
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(served.address + path)
        assert refused.value.code == 404
        refused.value.close()


def test_who_must_log_in_fetches_nothing_before():
    app = SimpleNamespace(auth=None, cookie_id="c", tokens={"t": "anna"})
    asking = SimpleNamespace(app=app, cookies={})
    assert downloads.let_in(asking)
    app.auth = lambda name, password: True
    assert not downloads.let_in(asking)
    asking.cookies = {"access-token-c": "guessed"}
    assert not downloads.let_in(asking)
    asking.cookies = {"access-token-unsecure-c": "t"}
    assert downloads.let_in(asking)


def test_an_adapter_from_the_page(visit: Any, served: Any) -> None:
    run = record(served.store, rounds=3)
    page = visit(f"?run={run}&round=2")
    page.wait_for_selector("#lab-dock .at >> text=Round 2 of 3")
    page.click("#lab-header [data-do=export]")
    page.check("dialog.export [value=lora]")
    page.select_option("dialog.export [name=lane]", LANES[1])
    page.select_option("dialog.export [name=cut]", "error")
    page.click("dialog.export [type=submit]")
    page.wait_for_selector("dialog.export .note.error >> text=Type a number")
    page.fill("dialog.export [name=number]", "0.05")
    page.click("dialog.export [type=submit]")
    page.wait_for_selector(".made .new >> text=lane-1-round-2-lora-error-0.05.zip")
    assert "4.0e-2" in page.inner_text(".made .new table")
    with page.expect_download() as download:
        page.click(".made .new a")
    sent = json.loads(download.value.path().read_text())
    assert (sent["lane"], sent["round"], sent["options"]["error"]) == (LANES[1], 2, 0.05)
    page.check("dialog.export [value=zip]")
    page.click("dialog.export [type=submit]")
    page.wait_for_selector(".made .new >> text=-run.zip")
    figures = served.store.get(run).folder / FOLDER
    drawn_there = {path.name for path in figures.glob("figures-*/*.svg")}
    assert "scores.svg" in drawn_there
    assert all(path.read_text().startswith("<svg") for path in figures.glob("figures-*/*.svg"))
    page.check("dialog.export [value=model]")
    page.click("dialog.export [type=submit]")
    page.wait_for_selector("dialog.export .note >> text=Packing the files")
    assert page.locator("dialog.export [type=submit]").is_disabled()
    page.keyboard.press("Escape")
    page.wait_for_function("!location.href.includes('view=')")
    page = visit(f"?run={run}&round=2")  # the export is told of wherever its run is looked at
    page.wait_for_selector("#lab-dock .at >> text=Round 2 of 3")
    page.click("#lab-header [data-do=export]")
    page.click("dialog.export [data-do=stop]")
    page.wait_for_selector("dialog.export .note >> text=Stopped; nothing of it was kept.")
    assert page.locator("dialog.export [data-do=stop]").is_hidden()
