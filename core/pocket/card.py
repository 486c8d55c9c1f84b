"""The model's card: its recall of facts, generalisation to unseen templates and two-hop questions, and tasks."""

import json
import math
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from core.models.forward import score
from core.models.language_model import LanguageModel
from core.models.loading import load_model

from .model import parameter_count
from .tasks import read_tasks
from .world import World, read_world


def recall(lm: LanguageModel, world: World, held_out: bool, seed: int = 0) -> dict[str, dict]:
    """Exact recall per relation, each fact once in a random template.

    `held_out`: held-out subjects in templates that they never had in training; else all facts in trained templates.
    """
    rng = Random(f"card-{seed}")
    facts = [fact for fact in world.facts if fact.held_out or not held_out]
    relations = world.relations
    templates = [
        rng.choice(relations[f.relation].unseen_templates() if held_out else relations[f.relation].trained_templates(f))
        for f in facts
    ]
    prompts = [template.format(fact.subject) for template, fact in zip(templates, facts, strict=True)]
    exact = score(lm, prompts, [fact.object for fact in facts]).exact
    table = {"all": _share(exact)}
    for label, real in (("real", True), ("synthetic", False)):
        table[label] = _share(exact[torch.tensor([fact.real == real for fact in facts])])
    for name in relations:
        table[name] = _share(exact[torch.tensor([fact.relation == name for fact in facts])])
    return table


def two_hop(lm: LanguageModel, world: World) -> dict[str, dict]:
    """Exact answers to two-hop questions: those that training asked, and those of subjects held out."""
    questions = world.hop_questions()
    prompts = [template.format(fact.subject) for fact, template, _ in questions]
    exact = score(lm, prompts, [answer for _, _, answer in questions]).exact
    unseen = torch.tensor([fact.held_out for fact, _, _ in questions])
    table = {"trained": _share(exact[~unseen]), "held_out": _share(exact[unseen])}
    for name in dict.fromkeys(fact.relation for fact, _, _ in questions):
        of_relation = torch.tensor([fact.relation == name for fact, _, _ in questions])
        table[f"held_out {name}"] = _share(exact[unseen & of_relation])
    return table


def task_accuracy(lm: LanguageModel, items: list[dict]) -> dict:
    """Share of items whose right choice has the highest log-probability after the prompt."""
    prompts = [item["prompt"] for item in items for _ in item["choices"]]
    choices = [choice for item in items for choice in item["choices"]]
    scored = score(lm, prompts, choices)
    likely = (scored.logprob * torch.tensor([len(hit) for hit in scored.hits])).tolist()
    right, at = [], 0
    for item in items:
        scores = likely[at : at + len(item["choices"])]
        right.append(scores.index(max(scores)) == item["answer"])
        at += len(scores)
    return _share(torch.tensor(right))


@torch.inference_mode()
def perplexity(lm: LanguageModel, lines: list[str]) -> float:
    """Perplexity per token of lines of text, each after `<bos>`."""
    total, count = 0.0, 0
    for line in lines:
        tokens = torch.tensor([lm.encode(line)])
        logits = lm.model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="sum").item()
        count += tokens.shape[1] - 1
    return math.exp(total / count)


def make_card(folder: Path) -> dict:
    """Evaluate `folder/model` on `folder/world` and `folder/tasks`."""
    world = read_world(folder / "world")
    lm = load_model(str(folder / "model"), device="cpu", dtype="float32")
    tasks = read_tasks(folder / "tasks")
    index = json.loads((folder / "tasks" / "index.json").read_text(encoding="utf-8"))
    scores = {name: task_accuracy(lm, items) for name, items in tasks.items()}
    text = (folder / "world" / "heldout.txt").read_text(encoding="utf-8")
    training = folder / "training.json"
    config = lm.config
    return {
        "parameters": parameter_count(lm.model),
        "megabytes": round((folder / "model" / "model.safetensors").stat().st_size / 1e6, 1),
        "shape": {"width": config.hidden_size, "layers": config.num_hidden_layers, "ffn": config.intermediate_size,
                  "heads": config.num_attention_heads, "vocabulary": config.vocab_size},
        "facts": len(world.facts),
        "training": json.loads(training.read_text(encoding="utf-8")) if training.exists() else None,
        "recall": recall(lm, world, held_out=False),
        "held_out_templates": recall(lm, world, held_out=True),
        "two_hop": two_hop(lm, world),
        "tasks": {name: {**score, "chance": index[name]["chance"]} for name, score in scores.items()},
        "perplexity": round(perplexity(lm, text.splitlines()), 3),
    }  # fmt: skip


def render(card: dict) -> str:
    """The card as Markdown."""
    shape = card["shape"]
    lines = [
        "# The pocket model",
        "",
        f"{card['parameters'] / 1e6:.1f}M parameters ({card['megabytes']} MB), {shape['layers']} layers of width "
        f"{shape['width']}, FFN {shape['ffn']}, {shape['heads']} heads, {shape['vocabulary']} tokens.",
    ]
    if card["training"]:
        at = card["training"]["position"]
        tokens, minutes = at["tokens"] / 1e6, at["seconds"] / 60
        lines.append(f"Trained for {at['step']} steps, {tokens:.1f}M tokens, {minutes:.0f} minutes.")
    lines += [
        "",
        "Shares of prompts whose answer is exact: each of its tokens is the arg-max. The interval is Wilson's, 95 %.",
        "",
        "| | share | interval | prompts |",
        "|---|---|---|---|",
        *(_row(f"recall, {name}", value) for name, value in card["recall"].items()),
        *(_row(f"held-out templates, {name}", value) for name, value in card["held_out_templates"].items()),
        *(_row(f"two-hop, {name.replace('_', ' ')}", value) for name, value in card["two_hop"].items()),
        "",
        "Tasks: the right choice has the highest probability.",
        "",
        "| task | share | interval | items | chance |",
        "|---|---|---|---|---|",
        *(f"{_row(name, value)} {value['chance']:.2f} |" for name, value in card["tasks"].items()),
        "",
        f"Perplexity per token on held-out rows of the training distribution: {card['perplexity']}.",
    ]
    return "\n".join(lines) + "\n"


def write_card(card: dict, folder: Path) -> None:
    """Write `card.json` and `card.md` into `folder`."""
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (folder / "card.md").write_text(render(card), encoding="utf-8")


def _share(right: Tensor) -> dict:
    """Share of true values, its 95 % Wilson interval, and the count; shares are None when there is nothing."""
    n = right.numel()
    if n == 0:
        return {"share": None, "low": None, "high": None, "count": 0}
    share, z = right.float().mean().item(), 1.96
    middle, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * spread) / (1 + z * z / n) for sign in (-1, 1))
    return {"share": round(share, 4), "low": round(low, 4), "high": round(min(high, 1.0), 4), "count": n}


def _row(name: str, value: dict) -> str:
    if value["share"] is None:
        return f"| {name} | – | – | 0 |"
    return f"| {name} | {value['share']:.3f} | {value['low']:.3f}–{value['high']:.3f} | {value['count']} |"
