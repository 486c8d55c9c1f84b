"""Tiny models and their statistics."""

from collections.abc import Callable

import pytest

from core.editing.lane.session import EditSession
from core.models.language_model import LanguageModel
from core.models.loading import load_model
from tests import toys
from tests.editing.common import session_of


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LanguageModel]:
    """toy("gpt2") is a tiny random GPT-2 in float32 on the CPU; toy("llama", "float64"), …"""
    loaded: dict[tuple, LanguageModel] = {}

    def get(family: str = "llama", dtype: str = "float32") -> LanguageModel:
        if (family, dtype) not in loaded:
            folder = tmp_path_factory.mktemp(family)
            toys.FAMILIES[family](folder)
            loaded[family, dtype] = load_model(str(folder), device="cpu", dtype=dtype)
        return loaded[family, dtype]

    return get


@pytest.fixture(scope="session")
def lm(toy) -> LanguageModel:
    return toy()


@pytest.fixture
def session(lm) -> EditSession:
    return session_of(lm)
