"""How far a round's update depends on the text of the statistics: `python -m tests.bench.texts --texts FILE`.

One round of plain MEMIT with the model's defaults, three times: with second moments of text that the unedited model
wrote, of another such text (the control), and of FILE (a paragraph a line), of equally many tokens. Prints for each
edited layer the cosine between the updates and ‖ΔW − ΔW'‖/‖ΔW‖, and the scores of each.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from core.editing.lane.session import model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.statistics.written import ASIDE
from core.facts.source import load_facts
from core.measures.outside.scores import Answers, score_facts, summarise
from core.names import WORLDS
from core.paths import default_home
from core.runs.engine.laboratory import Laboratory
from core.runs.spec.run_spec import RunSpec
from tests.bench.machine import describe

OWN, AGAIN = "the model's own text", "another one of its own"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--texts", type=Path, required=True)
    options.add_argument("--model", default="smollm2")
    options.add_argument("--tokens", type=int, default=20_000)
    options.add_argument("--facts", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    print(describe())
    laboratory = Laboratory(default_home())
    given = {"source": WORLDS.get(arguments.model, "everyday"), "count": arguments.facts, "seed": arguments.seed}
    own = spec_of(arguments, given, None)
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "again.txt"
        written = laboratory.writer(own, seed=ASIDE)(arguments.tokens).texts()
        again.write_text("\n".join(written), encoding="utf-8")
        specs = {
            OWN: own,
            AGAIN: spec_of(arguments, given, again),
            arguments.texts.name: spec_of(arguments, given, arguments.texts),
        }
        updates = {name: edited(laboratory, spec) for name, spec in specs.items()}
    first = updates[OWN]
    for name in (AGAIN, arguments.texts.name):
        print(f"\n{name}: layer, cosine to the update on {OWN}, ‖ΔW − ΔW'‖/‖ΔW‖")
        for layer, delta in first.items():
            other = updates[name][layer]
            cosine = float((delta * other).sum() / (delta.norm() * other.norm()))
            print(f"  {layer:2}  {cosine:.3f}  {float((delta - other).norm() / delta.norm()):.3f}")


def spec_of(arguments: argparse.Namespace, facts: dict, texts: Path | None) -> RunSpec:
    """A run of one round on these facts, with the statistics of a text file or of the model's own text."""
    statistics = {"tokens": arguments.tokens} | ({"texts": str(texts)} if texts else {})
    lanes = [{"method": "memit"}]
    return RunSpec.from_dict({"model": arguments.model, "facts": facts, "lanes": lanes, "statistics": statistics})


def edited(laboratory: Laboratory, spec: RunSpec) -> dict[int, torch.Tensor]:
    """ΔW by layer of one round of all facts; prints its scores."""
    lm = laboratory.model(spec)
    recipe = recipe_from_dict(spec.lanes[0], model_info(lm))
    facts, state = load_facts(spec.facts, laboratory.assets).edit, LaneState.base(lm, recipe.layers)
    update = edit_round(lm, state, facts, recipe, laboratory.session(spec, recipe.layers))
    state.apply(update)
    with lm.worn(state.weights):
        scores = summarise(score_facts(Answers(lm), facts, 2, 2))
    shown = ("efficacy_exact", "paraphrase_exact", "neighborhood_exact")
    print(Path(spec.statistics.texts or OWN).name, {name: round(scores[name], 3) for name in shown}, flush=True)
    return {layer: state.weights[layer] - lm.original(layer) for layer in recipe.layers}


if __name__ == "__main__":
    main()
