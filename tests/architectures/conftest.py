"""A tiny random model of each family, saved once with the kind of tokenizer that the family has, and loaded from there.

GPT-2's kind of tokenizer is byte-level BPE without BOS; Llama's is of SentencePiece's kind, with BOS.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from core.models.language_model import LanguageModel
from core.models.loading import load_model
from tests import toys

BYTES = {"gpt2", "gptj", "gpt_neox", "qwen2", "qwen3"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """folder("gemma2") is where the family's model and tokenizer are saved."""
    saved: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in saved:
            words = toys.tokenizer(bos=False) if family in BYTES else toys.pieces(bos=True)
            if family == "opt":  # BPE with BOS
                words = toys.tokenizer(bos=True)
            saved[family] = toys.tiny(tmp_path_factory.mktemp(family), family, words=words)
        return saved[family]

    return get


@pytest.fixture(scope="session")
def toy(folder: Callable[[str], Path]) -> Callable[..., LanguageModel]:
    """toy("gemma2") is that model in float64 on the CPU; toy("gemma2", "float32"), …"""
    loaded: dict[tuple[str, str], LanguageModel] = {}

    def get(family: str, dtype: str = "float64") -> LanguageModel:
        if (family, dtype) not in loaded:
            loaded[family, dtype] = load_model(str(folder(family)), device="cpu", dtype=dtype)
        return loaded[family, dtype]

    return get
