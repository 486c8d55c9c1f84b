"""Seconds an edit on a real model, by phase, beside what the arithmetic alone takes: `python -m tests.bench.edits`.

Easy facts are everyday facts that the model knows; the others are like CounterFact's: facts that it does not know, of
longer names, asked behind a sentence about somebody else. Seconds are of the processor, so that other work on the
machine does not count. The arithmetic counted is that of the matrices above the edited layer on the tokens from the
subject on and of the head on the tokens that are read, forwards and backwards; its speed is that of one large product.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.statistics.second_moment import second_moments
from core.editing.values.objective import Objective, make_task
from core.facts.fact import Fact
from core.facts.readers.everyday import EverydayWorld
from core.models.language_model import LanguageModel
from core.models.loading import load_model
from core.models.partial_forward import PartialForward
from tests.bench.machine import describe, peak_memory, spending


def easy(world: EverydayWorld, count: int) -> list[Fact]:
    """Facts that the model knows."""
    return world.sample(count, 0, "known")


def like_counterfact(world: EverydayWorld, count: int) -> list[Fact]:
    """Facts that it does not know, of subjects of two words or more, behind another sentence of the relation."""
    facts = [fact for fact in world.sample(10 * count, 0, "further") if " " in fact.subject]
    pairs = zip(facts[:count], facts[1 : count + 1], strict=True)
    return [replace(fact, prompt=f"{other.subject} is another matter. {fact.prompt}") for fact, other in pairs]


def gemm_speed() -> float:
    """GFLOP a second of the processor in a large product."""
    left, right = torch.randn(512, 576), torch.randn(576, 1536)
    left @ right
    spent = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(100):
            left @ right
        spent.append(time.process_time() - began)
    return 100 * 2 * 512 * 576 * 1536 / min(spent) / 1e9


def floor(lm: LanguageModel, facts: list[Fact], layer: int, contexts: list[str]) -> float:
    """GFLOP of one evaluation of all these facts: two for a weight and token forwards, two backwards."""
    task = make_task(lm, facts, contexts, with_kl=True)
    tokens, reads = sum(row.after for row in task.rows), sum(len(row.reads) for row in task.rows)
    above = [part for block in lm.layers[layer + 1 :] for part in block.modules() if isinstance(part, nn.Linear)]
    weights = sum(part.weight.numel() for part in above)
    last = sum(
        part.weight.numel() for part in lm.layers[-1].get_submodule(lm.anatomy.mlp).modules() if hasattr(part, "weight")
    )
    head = lm.head.weight.numel()
    return 4 * (weights * tokens - last * (tokens - reads) + head * reads) / 1e9


@contextmanager
def watched(lm: LanguageModel) -> Iterator[Counter[str]]:
    """Seconds of the processor within the evaluations, their forward passes, and the head."""
    seconds: Counter[str] = Counter()

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                seconds[name] += time.process_time() - began

        return run

    evaluate, logits, head = Objective.evaluate, PartialForward.logits, lm.head.forward
    Objective.evaluate, PartialForward.logits = timed("evaluate", evaluate), timed("forward", logits)  # type: ignore[method-assign]
    lm.head.forward = timed("head", head)
    try:
        yield seconds
    finally:
        Objective.evaluate, PartialForward.logits = evaluate, logits  # type: ignore[method-assign]
        lm.head.forward = head


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--model", default="smollm2")
    options.add_argument("--facts", type=int, default=50, help="of a round")
    options.add_argument("--contexts", type=int, nargs="+", default=[0, 5])
    options.add_argument("--optimizers", nargs="+", default=["adam", "gauss_newton"])
    options.add_argument("--threads", type=int, default=2)
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    lm, world = load_model(arguments.model, device="cpu"), EverydayWorld.read()
    speed = gemm_speed()
    print(f"{describe()}; {arguments.threads} threads; {speed:.0f} GFLOP a second of the processor")
    print(
        "\n| facts | contexts | steps | evaluations a value | final loss | ‖δ‖/‖h0‖ | seconds an edit | forward | of it"
        " the head | backward | other | keys | solve | the clock | arithmetic alone | ratio |\n|" + "---|" * 16
    )
    texts = [fact.text for fact in world.sample(400, 0, "known")]
    for name, facts in (
        ("easy", easy(world, arguments.facts)),
        ("CounterFact-like", like_counterfact(world, arguments.facts)),
    ):
        for contexts in arguments.contexts:
            for optimizer in arguments.optimizers:
                settings = {"method": "memit", "contexts": contexts, "optimizer": optimizer, "ridge": 0.01}
                recipe = recipe_from_dict(settings, model_info(lm))
                session = EditSession(lm, second_moments(lm, recipe.layers, texts, 2000))
                prefixes = session.contexts(recipe.method)
                with watched(lm) as seconds, spending() as spent:
                    update = edit_round(lm, LaneState.base(lm, recipe.layers), facts, recipe, session)
                values, count = update.values, len(facts)
                once = floor(lm, facts, recipe.layers[-1], prefixes) / speed / count
                alone, wall = once * float(values.steps.double().mean()), sum(update.seconds.values())
                share = {
                    phase: update.seconds.get(phase, 0.0) / wall * spent.cpu for phase in ("values", "keys", "solve")
                }
                cells = [
                    *(
                        name,
                        f"{contexts}",
                        optimizer,
                        f"{values.steps.double().mean():.1f}",
                        f"{values.loss.mean():.3f}",
                    ),
                    *(f"{values.size.mean():.2f}", f"{spent.cpu / count:.2f}"),
                    *(f"{seconds[part] / count:.2f}" for part in ("forward", "head")),
                    f"{(seconds['evaluate'] - seconds['forward']) / count:.2f}",
                    f"{(share['values'] - seconds['evaluate']) / count:.2f}",
                    *(f"{share[part] / count:.3f}" for part in ("keys", "solve")),
                    *(f"{spent.wall / count:.2f}", f"{alone:.2f}", f"{seconds['evaluate'] / count / alone:.2f}"),
                ]
                print("| " + " | ".join(cells) + " |", flush=True)
    print(f"\npeak memory {peak_memory()}")


if __name__ == "__main__":
    main()
