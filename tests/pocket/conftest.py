"""A small world, its tasks and tokenizer, made once."""

from pathlib import Path

import pytest

from core.pocket.build import build
from core.pocket.tasks import all_tasks
from core.pocket.tokenizer import load_tokenizer
from core.pocket.world import build_world


@pytest.fixture(scope="session")
def world():
    """The full world of seed 0 (building it takes well under a second)."""
    return build_world(0)


@pytest.fixture(scope="session")
def tasks(world):
    return all_tasks(world)


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """A folder as `pocket build` writes it, with a population of forty."""
    folder = tmp_path_factory.mktemp("pocket")
    build(folder, seed=3, population=40)
    return folder


@pytest.fixture(scope="session")
def tokenizer(built):
    return load_tokenizer(built / "model")
