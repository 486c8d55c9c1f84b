"""Where a round's time goes on the pocket model, and what a guard adds to it: `python -m tests.bench.rounds`.

Aims: REVIVE adds at most 3 %; everything but the values takes less than 25 %.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

import torch

from core.editing.lane.method import Recipe
from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.settings.defaults import statistics_tokens
from core.editing.statistics.cache import cached_moments
from core.editing.statistics.corpus import file_corpus
from core.facts.readers.pocket import PocketWorld
from core.models.language_model import LanguageModel
from core.models.loading import ASSETS, load_model
from tests.bench.machine import describe, peak_memory, spending

PHASES = ("values", "keys", "solve", "guard")
LANES = [
    {"name": "MEMIT", "method": "memit"},
    {"name": "MEMIT + REVIVE", "method": "memit", "guards": [{"name": "revive"}]},
    {"name": "MEMIT, history", "method": "memit", "history": True},
    {"name": "AlphaEdit", "method": "alphaedit"},
    {"name": "AlphaEdit + REVIVE", "method": "alphaedit", "guards": [{"name": "revive"}]},
    {"name": "MEMIT-F", "method": "memit", "prior": "lowrank"},
]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="pocket", help='"pocket", a folder or a hub id')
    options.add_argument("--round-size", type=int, default=100)
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--lanes", nargs="+", default=[lane["name"] for lane in LANES])
    options.add_argument("--home", type=Path, default=Path("runs/bench"), help="where statistics are kept")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="auto")
    options.add_argument("--dtype", default="auto")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    lm = load_model(arguments.model, arguments.device, arguments.dtype)
    facts = PocketWorld.load(ASSETS / "pocket" / "world").sample(arguments.round_size * arguments.rounds, seed=0)
    recipes = [recipe_from_dict(lane, model_info(lm)) for lane in LANES if lane["name"] in arguments.lanes]
    layers = sorted({layer for recipe in recipes for layer in recipe.layers})
    corpus = file_corpus(ASSETS / "pocket" / "world" / "corpus.txt", "the embedded world")
    moments = cached_moments(arguments.home, lm, layers, corpus, statistics_tokens(model_info(lm)))
    session = EditSession(lm, moments)
    print(
        f"{describe()}; {arguments.threads} threads, {lm.device}; {arguments.model}, rounds of {arguments.round_size}"
    )
    print(f"\n| lane | first round, s | later rounds, s | of the processor | {' | '.join(PHASES)} | but the values |")
    print("|---|---|---|---|" + "---|" * (len(PHASES) + 1))
    for recipe in recipes:
        print(row(lm, recipe, session, facts, arguments.round_size), flush=True)
    print(f"\npeak memory {peak_memory()}")


def row(lm: LanguageModel, recipe: Recipe, session: EditSession, facts: list, size: int) -> str:
    """A lane's rounds; shares are medians over those after the first, which makes factors and decompositions."""
    state, totals, spent, shares = LaneState.base(lm, recipe.layers), [], [], []
    for start in range(0, len(facts), size):
        with spending() as taken:
            update = edit_round(lm, state, facts[start : start + size], recipe, session)
            state.apply(update)
        totals.append(taken.wall)
        spent.append(taken.cpu)
        whole = sum(update.seconds.values())
        shares.append([update.seconds.get(phase, 0.0) / whole for phase in PHASES])
    parts = [median(share[i] for share in shares[1:]) for i in range(len(PHASES))]
    cells = " | ".join(f"{part:.1%}" for part in parts)
    return (
        f"| {recipe.label} | {totals[0]:.2f} | {median(totals[1:]):.2f} | {median(spent[1:]):.2f} | {cells} |"
        f" {1 - parts[0]:.1%} |"
    )


if __name__ == "__main__":
    main()
