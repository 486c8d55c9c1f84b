"""What lanes that route or retrieve cost on the pocket model, latency against the unedited model and bytes an edit, by
the functions of the study "cost": `python -m tests.bench.worn`. Values are trained for one step: their numbers do not
matter here."""

import argparse
import json

import torch

from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.facts.source import FactsSpec, load_facts
from core.measures.studies.cost import _rows
from core.measures.studies.cost.latency import side_by_side
from core.models.loading import load_model
from core.paths import ASSETS
from tests.bench.machine import describe

LANES = (
    '{"method": "scr"}',
    '{"method": "grace", "steps": 1, "eps": 1.0}',
    '{"method": "melo", "steps": 1, "eps": 0.5}',
)
TOKENS, PROMPTS = 50, 10  # as in the study


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--facts", type=int, default=1000)
    options.add_argument("--round-size", type=int, default=250)
    options.add_argument("lanes", nargs="*", default=LANES, help="lanes as JSON")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    lm = load_model("pocket", device="cpu", dtype="float32")
    spec = FactsSpec(source="pocket", count=arguments.facts, seed=7, unedited=0)
    facts = load_facts(spec, ASSETS).edit
    session = EditSession(lm, {})
    prompts = [fact.text for fact in facts[:: max(1, len(facts) // PROMPTS)]]
    print(describe())
    for lane in arguments.lanes:
        recipe = recipe_from_dict(json.loads(lane), model_info(lm))
        state = LaneState.base(lm, recipe.layers)
        for first in range(0, len(facts), arguments.round_size):
            state.apply(edit_round(lm, state, facts[first : first + arguments.round_size], recipe, session))
        base, worn = side_by_side(lm, ({}, state.worn), prompts, TOKENS)
        (row,) = _rows(len(facts), base, worn, TOKENS, 0)
        held = sum(tensor.nbytes for tensor in state.memory.values()) / len(facts)
        print(
            f"{recipe.label}, {len(facts)} edits: {row['ratio']:.2f} times the unedited model's seconds"
            f" ({row['low']:.2f}-{row['high']:.2f}), {held:,.0f} bytes an edit"
        )


if __name__ == "__main__":
    main()
