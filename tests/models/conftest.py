"""Tiny models, loaded once for a session."""

from collections.abc import Callable

import pytest

from core.models.language_model import LanguageModel
from core.models.loading import load_model
from tests import toys


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LanguageModel]:
    """toy("llama") is a tiny random Llama in float64 on the CPU; toy("gpt2", dtype="float32", bos=False), …"""
    loaded: dict[tuple, LanguageModel] = {}

    def get(family: str, dtype: str = "float64", bos: bool = True) -> LanguageModel:
        key = (family, dtype, bos)
        if key not in loaded:
            folder = tmp_path_factory.mktemp(family)
            toys.FAMILIES[family](folder, bos=bos)
            loaded[key] = load_model(str(folder), device="cpu", dtype=dtype)
        return loaded[key]

    return get
