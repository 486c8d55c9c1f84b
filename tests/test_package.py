"""What `pip install` gets: a wheel with both packages, the pocket model and the page's files, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import core
from core.__main__ import main as command_line
from lab_app import cli, frontend

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BY_NAME = "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation", "--quiet"
ASK = """
import core, core.paths as paths
print(core.__version__, paths.INSTALLED, (paths.ASSETS / "pocket" / "model" / "config.json").is_file())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `pip install .` builds it, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", *BY_NAME, "--wheel-dir", folder, ROOT], check=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def inside(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def tracked(*folders: str) -> set[str]:
    """The files below some folders, but for those that git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return set(told.stdout.split())


def test_all_of_both_packages_is_in_the_wheel(inside):
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nobody says which files belong to it")
    wanted = tracked("core", "lab_app") | {f"core/{name}" for name in tracked("assets/pocket")}
    packed = {name for name in inside if ".dist-info/" not in name}
    assert packed <= wanted
    tools = re.compile(r"lab_app/frontend/(?:.*\.test\.js|testing\.js|\.npmrc|[^/]*\.json|[^/]*\.config\.\w+)")
    assert [name for name in wanted - packed if not tools.fullmatch(name)] == []


def test_what_a_user_needs_is_in_the_wheel(inside):
    assert {"core/py.typed", "lab_app/py.typed"} <= inside
    pocket = {"model/model.safetensors", "model/tokenizer.json", "world/facts.jsonl", "tasks/index.json"}
    assert {f"core/assets/pocket/{name}" for name in pocket} <= inside
    page = [*frontend.modules(), *(path.relative_to(frontend.HERE).as_posix() for path in frontend.sheets())]
    assert {f"lab_app/frontend/{name}" for name in [*page, frontend.FAVICON.name]} <= inside
    assert {name.split("/")[0] for name in inside} == {"core", "lab_app", f"edit_lab-{core.__version__}.dist-info"}


def test_the_wheel_says_what_it_is(wheel, inside):
    folder = f"edit_lab-{core.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as opened:
        about = opened.read(f"{folder}/METADATA").decode()
        assert "edit-lab = lab_app.cli:main" in opened.read(f"{folder}/entry_points.txt").decode()
    assert f"Version: {core.__version__}\n" in about
    assert {"mcp", "dev"} == set(re.findall(r"^Provides-Extra: (.+)$", about, flags=re.M))
    assert f"{folder}/licenses/LICENSE" in inside


def test_an_unpacked_wheel_finds_its_files(wheel, tmp_path):
    """As from site-packages: from another folder, where a package `core` of somebody else's lies."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "here" / "core").mkdir(parents=True)
    (tmp_path / "here" / "core" / "__init__.py").write_text("raise SystemExit('the wrong core')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-P", "-c", ASK]
    done = subprocess.run(command, cwd=tmp_path / "here", env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [core.__version__, "True", "True"], done.stderr


def test_edit_lab_passes_commands_on(capsys):
    """Those that its help names are those of `python -m core`."""
    with pytest.raises(SystemExit):
        command_line(["--help"])
    there = set(re.findall(r"^    (\w+) ", capsys.readouterr().out, flags=re.M))
    assert there == set(cli.COMMANDS.split(", "))
    for name in there:
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "--help"])
        assert ended.value.code == 0
        assert f"usage: {cli.program()} {name}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        cli.main(["ruin"])
    assert ended.value.code == 2


def requirements(file: str) -> dict[str, Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines())
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(one.name): one for one in found}


def pin(one: Requirement) -> str:
    (exact,) = one.specifier
    assert exact.operator == "=="
    return exact.version


def test_ranges_admit_what_was_tested():
    """The pins of requirements.txt and -dev.txt lie within the package's ranges; the lock has the same pins."""
    lock = {name: pin(one) for name, one in requirements("requirements.lock").items()}
    dev = PROJECT["optional-dependencies"]["dev"]
    for file, ranges in (("requirements.txt", PROJECT["dependencies"]), ("requirements-dev.txt", dev)):
        pins = {name: pin(one) for name, one in requirements(file).items()}
        declared = {canonicalize_name(one.name): one for one in map(Requirement, ranges)}
        assert pins.keys() == declared.keys()
        assert all(declared[name].specifier.contains(version) for name, version in pins.items())
        assert {name: lock[name] for name in pins} == pins


def test_the_lock_names_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "make lock" in text.split("absl-py")[0]
    assert not re.search(r"://|^-|@ |--hash", text, flags=re.M)


def test_whatever_is_imported_is_declared():
    """Every package that the code imports, wherever in a file, is a dependency of its own and not somebody else's."""
    declared = {canonicalize_name(Requirement(one).name) for one in PROJECT["dependencies"]}
    owners = packages_distributions()
    pattern = re.compile(r"^\s*(?:from|import) ([a-zA-Z_]\w*)", flags=re.M)
    files = [*(ROOT / "core").rglob("*.py"), *(ROOT / "lab_app").rglob("*.py")]
    imported = {name for file in files for name in pattern.findall(file.read_text(encoding="utf-8"))}
    others = {name for name in imported & owners.keys() if name not in {"core", "lab_app"}}
    assert {"torch", "gradio"} <= others
    undeclared = {name for name in others if not declared & {canonicalize_name(owner) for owner in owners[name]}}
    assert undeclared <= {"mcp", "gguf"}  # optional: gguf comes with the models of requirements-models.txt
