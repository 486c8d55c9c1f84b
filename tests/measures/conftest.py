"""Tiny models and a tiny world, made once for a session."""

import json
from pathlib import Path

import pytest

from core.facts.fact import Fact, Neighbor
from core.models.language_model import LanguageModel
from core.models.loading import load_model
from tests import toys

CAPITALS = {"France": "Paris", "Italy": "Rome", "Austria": "Vienna", "Swiss": "Zurich"}
PEOPLE = ["Ada Marlow", "Bruno Keller", "Lena Marlow", "Tom Ash", "Ada Keller", "Tom Marlow", "Lena Ash", "Bruno Ash"]


@pytest.fixture(scope="session")
def lm(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """A random Llama of four layers in float64."""
    return load_model(str(toys.tiny_llama(tmp_path_factory.mktemp("llama"))), device="cpu", dtype="float64")


@pytest.fixture(scope="session")
def lm32(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """A random GPT-2 in float32: another architecture, transposed weights, tied embeddings."""
    return load_model(str(toys.tiny_gpt2(tmp_path_factory.mktemp("gpt2"))), device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def facts() -> list[Fact]:
    """Eight facts to edit; the last has no truth, no paraphrases and no neighbors."""
    cities = list(CAPITALS.values())
    made = []
    for i, name in enumerate(PEOPLE):
        target, truth = cities[i % 4], cities[(i + 1) % 4]
        other = PEOPLE[(i + 3) % len(PEOPLE)]
        full = i < len(PEOPLE) - 1
        made.append(
            Fact(
                subject=name,
                prompt="{} was born in",
                target=target,
                truth=truth if full else None,
                paraphrases=(f"The river of {name} is", f"I like {name} and", f"You like {name} in") if full else (),
                neighborhood=(
                    Neighbor(prompt=f"{other} was born in", answer=cities[(i + 2) % 4]),
                    Neighbor(prompt=f"{other} is", answer=target),
                )
                if full
                else (),
            )
        )
    return made


@pytest.fixture(scope="session")
def unedited() -> list[Fact]:
    """Facts that nothing asks to change."""
    return [
        Fact(subject=country, prompt="The capital of {} is", target=city, truth=city)
        for country, city in CAPITALS.items()
    ] + [Fact(subject=name, prompt="{} works as a", target="painter", truth="painter") for name in PEOPLE]


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An assets folder with two tasks and a little held-out text."""
    folder = tmp_path_factory.mktemp("assets")
    tasks, world = folder / "pocket" / "tasks", folder / "pocket" / "world"
    tasks.mkdir(parents=True)
    world.mkdir()
    capitals = [
        {"prompt": f"The capital of {country} is", "choices": list(CAPITALS.values()), "answer": i}
        for i, country in enumerate(CAPITALS)
    ]
    work = [
        {"prompt": f"{name} works as a", "choices": ["painter in Lyon", "baker"], "answer": i % 2}
        for i, name in enumerate(PEOPLE)
    ]
    for name, rows in {"capitals": capitals, "work": work}.items():
        (tasks / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tasks / "index.json").write_text(json.dumps({"capitals": {"chance": 0.25}, "work": {"chance": 0.5}}))
    (world / "heldout.txt").write_text("\n".join(toys.SENTENCES), encoding="utf-8")
    return folder
