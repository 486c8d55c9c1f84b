"""The front end's own folder: what is served of it, and that nothing in it is left over."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import PurePosixPath

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lab_app import frontend

IMPORT = re.compile(r'^\s*(?:import|export)\b[^;]*?from "(\.[^"]+)"|^import "(\.[^"]+)"', re.MULTILINE)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=[frontend.route()]))


def imported(name: str) -> set[str]:
    """The modules that a module imports."""
    found = IMPORT.findall(frontend.modules()[name].decode())
    places = [PurePosixPath(name).parent / (first or second) for first, second in found]
    return {resolved(place) for place in places}


def resolved(place: PurePosixPath) -> str:
    parts: list[str] = []
    for part in place.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def test_modules_are_served_under_an_address_that_browsers_may_keep(client):
    for name, content in frontend.modules().items():
        answer = client.get(frontend.address(name))
        assert answer.status_code == 200
        assert answer.content == content
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert "immutable" in answer.headers["cache-control"]
    plain = client.get(frontend.address(), headers={"accept-encoding": "identity"})
    with client.stream("GET", frontend.address()) as packed:
        assert gzip.decompress(b"".join(packed.iter_raw())) == plain.content == frontend.modules()["main.js"]


@pytest.mark.parametrize("name", ["__init__.py", "../launch.py", "%2e%2e/launch.py", "shared/base.css", "main.js/", ""])
def test_nothing_else_is_served(client, name):
    assert client.get(frontend.address(name)).status_code == 404


def test_modules_of_another_version_are_not_mixed_in(client):
    other = frontend.address().replace(frontend.version(), "0" * 12)
    assert client.get(other).status_code == 404


def test_every_module_is_reached_from_the_first_and_fetched_with_it():
    reached, ahead = set(), {frontend.ENTRY}
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead |= imported(name) - reached
    assert reached == set(frontend.modules())
    assert all(f'href="{frontend.address(name)}"' in frontend.head() for name in reached)


def test_no_module_leaves_a_global_name():
    for name, content in frontend.modules().items():
        assert not re.search(r"\b(window|globalThis|self)\.\w+ *=[^=]", content.decode()), name


def test_every_component_has_a_part_and_every_part_a_component():
    sources = [path.read_text(encoding="utf-8") for path in frontend.HERE.parent.glob("**/*.py")]
    mounted = {kind for text in sources for kind in re.findall(r'\bwidget\(\s*f?"([\w-]+)', text)}
    entries = re.search(r"const KINDS = \{(.*?)\};", frontend.modules()["main.js"].decode(), re.DOTALL)[1]
    assert mounted == {name.strip().split(":")[0].strip('"') for name in entries.split(",") if name.strip()}


def test_shared_sheets_come_first_and_hold_no_rule_that_gradio_drops():
    rooms = [path.parent.name for path in frontend.sheets()]
    assert rooms[: rooms.count("shared")] == ["shared"] * rooms.count("shared")
    assert {"facts", "lanes", "learn", "page"} < set(rooms)
    for path in frontend.sheets():
        kept = set(
            re.findall(r"@([\w-]+)", re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL))
        )
        assert kept <= {"media", "keyframes", "font-face"}, path


@pytest.mark.slow
def test_the_unit_tests_of_the_modules():
    """`node --test` beside the modules; where its tools are not installed, that is said."""
    node = shutil.which("node")
    if node is None or int(version(node).split(".")[0]) < 20:
        pytest.skip("no Node 20 or later: the unit tests of lab_app/frontend are left out")
    if not (frontend.HERE / "node_modules" / "happy-dom").is_dir():
        pytest.skip("the tools of lab_app/frontend are not installed: run `make frontend` or `npm ci` there")
    done = subprocess.run([node, "--test"], cwd=frontend.HERE, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert int(re.search(r"^# pass (\d+)", done.stdout, re.MULTILINE)[1]) > 50


def version(node: str) -> str:
    return subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60).stdout.lstrip("v")
