"""What holds for all tests: shapes and types are checked (`tests.shapes`), nothing is asked of the hub, nothing is kept
in the user's home, and torch has one thread. Markers are set here, by what a test asks for:

- `browser`: it opens the page in a browser;
- `model`: it runs the pocket model or SmolLM2, not a toy.

`make fuzz` asks for the profile "fuzz", which tries many more inputs (`tests.fuzzing`)."""

import os
from collections.abc import Iterator
from pathlib import Path

# Read where libraries are imported, and by processes that tests start. With two threads, toys are no faster, and much
# slower on a busy machine, since each waits for the other; bits are the same in all processes of the tests.
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
os.environ["NUMBA_OPT"] = "0"  # UMAP of forty points: to compile it costs all

import pytest
from hypothesis import settings

from core.packaged import PACKAGED
from tests import shapes

shapes.install()
settings.register_profile("unhurried", deadline=None)  # how long an input takes is not what these tests are about
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("unhurried")

MARKED_BY = {"browser": "browser", "pocket": "model", "smollm2": "model"}  # fixture: marker
# The longest: begun last, one process would run them while the others have nothing to do.
FIRST = ("test_readme.py", "test_page.py", "test_drawn.py", "test_no_call_home.py", "test_every_method.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in set(getattr(item, "fixturenames", ())) & set(MARKED_BY):
            item.add_marker(MARKED_BY[fixture])
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def pocket() -> Path:
    """The folder of the pocket model, as it comes with the lab. Whatever runs that model asks for this fixture."""
    folder = Path(__file__).parents[1] / "assets" / "pocket" / "model"
    assert (folder / "model.safetensors").is_file()
    return folder


@pytest.fixture(scope="session")
def smollm2(lab_home: None, request: pytest.FixtureRequest) -> str:
    """The name of SmolLM2, where its package is installed. It is converted once for all processes and sessions of the
    tests: the folder of converted models is pytest's own cache."""
    if PACKAGED["smollm2"].gguf() is None:
        pytest.skip(f"SmolLM2 is not installed: {PACKAGED['smollm2'].pip}")
    models = Path(os.environ["LAB_HOME"]) / "models"
    if not models.exists():
        models.symlink_to(request.config.cache.mkdir("models"))
    return "smollm2"


@pytest.fixture(scope="session", autouse=True)
def lab_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What runs keep for each other goes to a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(tmp_path_factory.mktemp("lab")))
        yield
