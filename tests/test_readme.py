"""Every command of the README runs: at a small size where its own would take long, with the reason beside it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


COMMANDS = [line.strip() for block in blocks("sh") for line in block.splitlines() if line.strip()]

# A command of the README -> how it is run here.
SMALLER = {
    "make run": "make --dry-run run",  # tests/lab_app starts app.py; installing again would take minutes
    "make test": "make --dry-run test",  # this is it
    "make bench": "make --dry-run bench",  # tests/bench is run below, small
    "python -m tests.bench.values": "python -m tests.bench.values --facts 4",
    "python -m tests.bench.lane": "python -m tests.bench.lane --facts 4 --round-size 2",
    "python -m tests.bench.long --seeds 0": "python -m tests.bench.long --seeds 0 --facts 2 --round-size 2 --every 1 "
    "--lanes MEMIT",
    "python -m core card pocket --out bench": "python -m core card pocket --out bench --edits 2 --known 8 --items 2 "
    "--tenths 2 --seeds 1 --layers 1 --tokens 2000",
    "python -m core pocket train --out pocket --steps 4000": "python -m core pocket train --out pocket --steps 2 "
    "--width 64 --layers 2 --ffn 64 --no-compile",
    "python app.py --host 0.0.0.0 --auth-file users.txt --models openai-community/gpt2-xl --datasets counterfact": (
        "python app.py --help"  # tests/lab_app serves it
    ),
}


def run(command, folder):
    words = [sys.executable if word == "python" else word for word in command.split()]
    cwd = ROOT if words[0] == "make" else folder
    environment = {
        **os.environ,
        "PYTHONPATH": str(cwd if (cwd / "core").is_dir() else ROOT),
        "LAB_HOME": str(folder / "home"),
    }
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pocket):
    """A working folder with the README's spec, a few facts of it."""
    place = tmp_path_factory.mktemp("readme")
    spec = json.loads(blocks("json")[0])
    spec["facts"] |= {"count": 4, "unedited": 8}
    spec |= {"round_size": 2, "statistics": {"tokens": 3000}}
    (place / "examples.json").write_text(json.dumps(spec))
    shutil.copy(ROOT / "app.py", place)
    return place


def test_the_method_of_the_readme_is_one(folder):
    """Its file among the others of a copy of `core`; then it runs as a spec names it, with a guard."""
    place = folder / "copy"
    shutil.copytree(ROOT / "core", place / "core", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "assets").symlink_to(ROOT / "assets")
    (code,) = [block for block in blocks("python") if "METHOD = " in block]
    assert len(code.splitlines()) <= 30
    (place / "core" / "editing" / "methods" / "ridge.py").write_text(code)
    spec = {
        "facts": {"source": "pocket", "count": 4},
        "round_size": 2,
        "lanes": [{"method": "ridge"}, {"method": "ridge", "guards": [{"name": "revive"}]}],
        "measure": {"tasks": False, "inside": False, "maps": False},
        "statistics": {"tokens": 3000},
    }
    (place / "ridge.json").write_text(json.dumps(spec))
    run("python -m core run ridge.json --out out", place)
    rounds = pd.read_csv(place / "out" / "rounds.csv").set_index(["lane", "round"])
    assert rounds.loc[("Ridge", 2), "efficacy"] > rounds.loc[("Ridge", 0), "efficacy"]
    assert ("Ridge + REVIVE τ=0.1", 2) in rounds.index


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_runs(command, folder):
    run(SMALLER.get(command, command), folder)


def test_the_readme_names_its_commands():
    assert {"make run", "make test", "make bench"} <= set(COMMANDS)
    assert not set(SMALLER) - set(COMMANDS) - {"python -m tests.bench.values", "python -m tests.bench.lane"}


@pytest.mark.parametrize("command", ["python -m tests.bench.values", "python -m tests.bench.lane"])
def test_the_benchmarks_run(command, folder):
    assert "s" in run(SMALLER[command], folder)


def test_pictures_of_the_readme_are_there():
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file(), path


ABSENT = ("adaedit",)


def test_what_is_counted_in_the_readme_is_there():
    """Methods, guards, models and studies by number; the field's methods that are not here, by name."""
    from core.editing import guards, methods
    from core.measures import studies
    from core.models.anatomy import ANATOMIES
    from lab_app.lessons import lessons

    words = {5: "five", 6: "six", 7: "seven", 11: "eleven", 21: "twenty-one", 22: "twenty-two", 23: "twenty-three"}
    said = README.lower().replace("\n", " ")
    counts = [(methods, "methods"), (guards, "guards"), (studies, "studies on request")]
    for found, what in ((len(package.names()), what) for package, what in counts):
        assert f"{words[found]} {what}" in said
    assert f"{words[len(ANATOMIES)]} families of models" in said
    assert f"{words[len(lessons())]} lessons" in said
    line = (ROOT / "core" / "README.md").read_text(encoding="utf-8").partition("Not here: ")[2].partition("\n\n")[0]
    for name in ABSENT:
        assert name not in methods.names()
        assert name in line.lower()
