"""What MOSE says and keeps on the pocket model, beside MEMIT: `python -m tests.bench.mose`.

One round of so many facts under lanes of MOSE: as the embedded model has it by default, with a single change each, and
as its ablation has it (one layer fixed, one selected). All facts are asked at once; `turned` is how far σ and ‖W‖ are
from those of W_0, which a turn keeps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from core.editing.lane.method import Recipe
from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.settings.defaults import statistics_tokens
from core.editing.statistics.cache import cached_moments
from core.editing.statistics.corpus import file_corpus
from core.facts.source import FactSet, FactsSpec, load_facts
from core.measures.outside.scores import Answers, recall, score_facts, summarise
from core.models.language_model import LanguageModel
from core.models.loading import ASSETS, load_model
from tests.bench.machine import describe

LANES = [
    {"name": "MEMIT", "method": "memit"},
    {"name": "MOSE", "method": "mose"},
    {"name": "MOSE, five layers", "method": "mose", "reach": 4},
    {"name": "MOSE, selected", "method": "mose", "select": "selected"},
    {"name": "MOSE, fixed (ROME's)", "method": "mose", "select": "fixed"},
    {"name": "MOSE, values as MEMIT's", "method": "mose", "clamp": 0.75, "stop_loss": 0.05},
    {"name": "MOSE, ρ .01", "method": "mose", "ratio": 0.01},
    {"name": "MOSE, norms matched", "method": "mose", "match_norms": True},
]
COLUMNS = ("efficacy", "efficacy_exact", "paraphrase", "neighborhood_exact")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--facts", type=int, nargs="+", default=[10, 50, 100])
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--lanes", nargs="+", default=[lane["name"] for lane in LANES])
    options.add_argument("--home", type=Path, default=Path("runs/bench"), help="where statistics are kept")
    arguments = options.parse_args()
    lm = load_model("pocket", "cpu")
    lanes = [lane for lane in LANES if lane["name"] in arguments.lanes]
    recipes = [recipe_from_dict(lane, model_info(lm)) for lane in lanes]
    layers = sorted({layer for recipe in recipes for layer in recipe.layers})
    corpus = file_corpus(ASSETS / "pocket" / "world" / "corpus.txt", "the embedded world")
    session = EditSession(lm, cached_moments(arguments.home, lm, layers, corpus, statistics_tokens(model_info(lm))))
    print(f"{describe()}; seed {arguments.seed}\n")
    heads = ("facts", "lane", "efficacy", "exact", "paraphrase", "neighborhood", "unedited", "‖ΔW‖/‖W₀‖", "turned")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for count in arguments.facts:
        facts = load_facts(FactsSpec(source="pocket", count=count, seed=arguments.seed, unedited=100), ASSETS)
        for recipe in recipes:
            print(row(lm, recipe, session, facts), flush=True)


def row(lm: LanguageModel, recipe: Recipe, session: EditSession, facts: FactSet) -> str:
    """One lane's round."""
    state = LaneState.base(lm, recipe.layers)
    update = edit_round(lm, state, facts.edit, recipe, session)
    state.apply(update)
    with lm.worn(state.weights):
        answers = Answers(lm)
        scores = summarise(score_facts(answers, facts.edit))
        kept = recall(answers, facts.unedited)
    moved, turned = [], 0.0
    for layer in update.updates:
        before, after = lm.original(layer).double(), state.weights[layer].double()
        moved.append(float((after - before).norm() / before.norm()))
        sigma, reached = torch.linalg.svdvals(before), torch.linalg.svdvals(after)
        turned = max(turned, float((reached - sigma).abs().max() / sigma[0]))
        turned = max(turned, abs(float(after.norm() / before.norm()) - 1))
    cells = [f"{scores[column]:.2f}" for column in COLUMNS]
    cells += [f"{sum(kept) / len(kept):.2f}", f"{sum(moved) / len(moved):.2f}", f"{turned:.0e}"]
    return f"| {len(facts.edit)} | {recipe.label} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
