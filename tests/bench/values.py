"""How much partial forward passes save: target values of a round at once, against full passes for each fact.

python -m tests.bench.values --facts 100
python -m tests.bench.values --shape gpt2-small --plain-facts 5      random weights, so every fact takes all steps
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from core.editing.lane.session import EditSession, model_info
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.locate_then_edit import LocateThenEdit
from core.editing.values.objective import make_task
from core.editing.values.optimise import Problem, optimise_values
from core.facts.fact import Fact
from core.facts.readers.pocket import PocketWorld
from core.models.language_model import LanguageModel
from core.models.loading import ASSETS, load_model
from tests.bench.machine import describe

SHAPES: dict[str, dict[str, int | str]] = {
    "gpt2-small": {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257},
    "llama-3-8b": {
        **{"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256},
    },
}


def random_model(shape: str, folder: Path) -> str:
    """A folder with a model of random weights and the pocket model's tokenizer."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(**SHAPES[shape])
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(ASSETS / "pocket" / "model").save_pretrained(folder)
    return str(folder)


def one_at_a_time(
    lm: LanguageModel, facts: Sequence[Fact], layer: int, config: LocateThenEdit, contexts: Sequence[str]
) -> list[float]:
    """The usual way: for each fact, every step runs all layers on all tokens of all its rows. Final losses."""
    losses = []
    for fact in facts:
        task = make_task(lm, [fact], contexts, with_kl=True)
        width = max(len(row.ids) for row in task.rows)
        ids = torch.tensor([[*row.ids, *[0] * (width - len(row.ids))] for row in task.rows], device=lm.device)
        cuts = torch.tensor([row.cut for row in task.rows], device=lm.device)
        delta = torch.zeros(lm.d_model, device=lm.device, dtype=lm.master_dtype, requires_grad=True)
        clean: dict[str, torch.Tensor] = {}

        def add(_: object, __: tuple, output: torch.Tensor, cuts=cuts, delta=delta, clean=clean) -> torch.Tensor:
            clean.setdefault("start", output[0, cuts[0]].detach())
            changed = output.clone()
            changed[torch.arange(len(cuts)), cuts] += delta.to(output.dtype)
            return changed

        handle = lm.layers[layer].register_forward_hook(add)
        rate = None
        for step in range(config.steps):
            logits = lm.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
            logits = logits.to(lm.master_dtype)
            loss = delta.new_zeros(())
            for r, (row, target) in enumerate(zip(task.rows, task.targets, strict=True)):
                found = logits[r, list(row.reads)]
                if target:
                    wanted = torch.tensor(target, device=lm.device)
                    loss = loss + F.cross_entropy(found, wanted) / task.contexts
                else:
                    log_p = found.log_softmax(1)
                    original = clean.setdefault("stub", log_p.detach())
                    loss = loss + config.kl * F.kl_div(original, log_p, reduction="sum", log_target=True)
            size = clean["start"].norm()
            loss = loss + config.weight_decay * delta.norm() / size**2
            if float(loss.detach()) < config.stop_loss or step == config.steps - 1:
                break
            if rate is None:
                rate = config.lr * float(size) / lm.d_model**0.5 if config.relative_lr else config.lr
                optimiser = torch.optim.Adam([delta], lr=rate)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                delta.mul_(min(1.0, float(config.clamp * size / delta.norm())))
        handle.remove()
        losses.append(float(loss.detach()))
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--plain-facts", type=int, default=20, help="facts timed one at a time")
    parser.add_argument("--model", default="pocket", help='"pocket", a folder or a hub id')
    parser.add_argument("--shape", choices=sorted(SHAPES), help="a model of random weights instead, of this shape")
    parser.add_argument("--steps", type=int, default=5, help="evaluations of a fact's loss on a random model")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    options = parser.parse_args()

    print(describe())
    if options.shape:
        with tempfile.TemporaryDirectory() as folder:
            lm = load_model(random_model(options.shape, Path(folder)), options.device, options.dtype)
    else:
        lm = load_model(options.model, options.device, options.dtype)
    facts = PocketWorld.load(Path(ASSETS) / "pocket" / "world").sample(options.facts, seed=0)
    recipe = recipe_from_dict({"method": "memit"}, model_info(lm))
    layer, config = recipe.layers[-1], recipe.method
    if options.shape:
        config = replace(config, steps=options.steps)
    contexts = EditSession(lm, {}).contexts(config)

    some = facts[: options.plain_facts]
    optimise_values(Problem(lm, facts[:4], layer, contexts), config)  # warm up
    began = time.perf_counter()
    found = optimise_values(Problem(lm, facts, layer, contexts), config)
    together = (time.perf_counter() - began) / len(facts)
    began = time.perf_counter()
    plain = one_at_a_time(lm, some, layer, config, contexts)
    alone = (time.perf_counter() - began) / len(some)

    apart = max(abs(a - b) for a, b in zip(found.loss.tolist(), plain, strict=False))
    where = f"{lm.device}, {lm.dtype}".replace("torch.", "")
    name = options.shape or options.model
    print(f"{name}: value at layer {layer} of {lm.n_layers}, {1 + len(contexts)} contexts, {where}")
    print(
        f"steps: mean {found.steps.double().mean():.1f} of {config.steps}; final loss: median {found.loss.median():.3f}"
    )
    print(f"together, exact forward: {together * 1000:8.1f} ms a fact ({len(facts)} facts)")
    print(f"one at a time, plain: {alone * 1000:8.1f} ms a fact ({len(some)} facts)")
    print(f"ratio: {alone / together:.1f}; largest difference of a final loss: {apart:.2g}")


if __name__ == "__main__":
    main()
