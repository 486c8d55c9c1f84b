"""The model's card: what it recalls, how far that carries to unseen phrasings, hops and tasks."""

import json
import math
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from .model import parameter_count
from .tasks import read_tasks
from .tokenizer import encode_pieces, load_tokenizer
from .world import World, read_world

BATCH = 256


def load_model(folder: Path):
    """The exported model in float32, for evaluation on a CPU."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()


@torch.inference_mode()
def answer_scores(model, tokenizer, prompts: list[str], answers: list[str]) -> tuple[Tensor, Tensor]:
    """For each `prompt` + space + `answer`: is every answer token the arg-max (bool), and the answer's log-probability.

    Both results are of shape [len(prompts)].
    """
    starts = [[tokenizer.bos_token_id, *ids] for ids in encode_pieces(tokenizer, prompts)]
    ends = encode_pieces(tokenizer, [f" {answer}" for answer in answers])
    exact, likely = torch.zeros(len(prompts), dtype=torch.bool), torch.zeros(len(prompts))
    order = sorted(range(len(prompts)), key=lambda i: len(starts[i]) + len(ends[i]))
    for at in range(0, len(order), BATCH):
        chosen = order[at : at + BATCH]
        width = max(len(starts[i]) + len(ends[i]) for i in chosen)
        tokens = torch.full((len(chosen), width), tokenizer.pad_token_id)
        answered = torch.zeros((len(chosen), width), dtype=torch.bool)
        for row, i in enumerate(chosen):
            tokens[row, : len(starts[i]) + len(ends[i])] = torch.tensor(starts[i] + ends[i])
            answered[row, len(starts[i]) : len(starts[i]) + len(ends[i])] = True
        # Padding stands at the end, where a causal model's earlier positions do not see it.
        logits = model(input_ids=tokens, use_cache=False).logits[:, :-1].float()
        wanted, counted = tokens[:, 1:], answered[:, 1:]
        each = logits.log_softmax(-1).gather(-1, wanted[..., None])[..., 0]
        index = torch.tensor(chosen)
        exact[index] = ((logits.argmax(-1) == wanted) | ~counted).all(-1)
        likely[index] = (each * counted).sum(-1)
    return exact, likely


def recall(model, tokenizer, world: World, held_out: bool, seed: int = 0) -> dict[str, dict]:
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
    exact, _ = answer_scores(model, tokenizer, prompts, [fact.object for fact in facts])
    table = {"all": _share(exact)}
    for label, wanted in (("real", True), ("synthetic", False)):
        table[label] = _share(exact[torch.tensor([fact.real == wanted for fact in facts])])
    for name in relations:
        table[name] = _share(exact[torch.tensor([fact.relation == name for fact in facts])])
    return table


def two_hop(model, tokenizer, world: World) -> dict[str, dict]:
    """Exact answers to two-hop questions: those that training asked, and those of subjects held out."""
    questions = world.hop_questions()
    prompts = [template.format(fact.subject) for fact, template, _ in questions]
    exact, _ = answer_scores(model, tokenizer, prompts, [answer for _, _, answer in questions])
    unseen = torch.tensor([fact.held_out for fact, _, _ in questions])
    table = {"trained": _share(exact[~unseen]), "held_out": _share(exact[unseen])}
    for name in dict.fromkeys(fact.relation for fact, _, _ in questions):
        of_relation = torch.tensor([fact.relation == name for fact, _, _ in questions])
        table[f"held_out {name}"] = _share(exact[unseen & of_relation])
    return table


def task_accuracy(model, tokenizer, items: list[dict]) -> dict:
    """Share of items whose right choice has the highest log-probability after the prompt."""
    prompts = [item["prompt"] for item in items for _ in item["choices"]]
    choices = [choice for item in items for choice in item["choices"]]
    likely = answer_scores(model, tokenizer, prompts, choices)[1].tolist()
    right, at = [], 0
    for item in items:
        scores = likely[at : at + len(item["choices"])]
        right.append(scores.index(max(scores)) == item["answer"])
        at += len(scores)
    return _share(torch.tensor(right))


@torch.inference_mode()
def perplexity(model, tokenizer, lines: list[str]) -> float:
    """Perplexity per token of lines of text, each after `<bos>`."""
    total, count = 0.0, 0
    for line in lines:
        tokens = tokenizer(line, return_tensors="pt")["input_ids"]
        logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="sum").item()
        count += tokens.shape[1] - 1
    return math.exp(total / count)


def make_card(folder: Path) -> dict:
    """Evaluate `folder/model` on `folder/world` and `folder/tasks`."""
    world = read_world(folder / "world")
    tokenizer, model = load_tokenizer(folder / "model"), load_model(folder / "model")
    tasks = read_tasks(folder / "tasks")
    index = json.loads((folder / "tasks" / "index.json").read_text(encoding="utf-8"))
    scores = {name: task_accuracy(model, tokenizer, items) for name, items in tasks.items()}
    text = (folder / "world" / "heldout.txt").read_text(encoding="utf-8")
    training = folder / "training.json"
    config = model.config
    return {
        "parameters": parameter_count(model),
        "megabytes": round((folder / "model" / "model.safetensors").stat().st_size / 1e6, 1),
        "shape": {"width": config.hidden_size, "layers": config.num_hidden_layers, "ffn": config.intermediate_size,
                  "heads": config.num_attention_heads, "vocabulary": config.vocab_size},
        "facts": len(world.facts),
        "training": json.loads(training.read_text(encoding="utf-8")) if training.exists() else None,
        "recall": recall(model, tokenizer, world, held_out=False),
        "held_out_templates": recall(model, tokenizer, world, held_out=True),
        "two_hop": two_hop(model, tokenizer, world),
        "tasks": {name: {**score, "chance": index[name]["chance"]} for name, score in scores.items()},
        "perplexity": round(perplexity(model, tokenizer, text.splitlines()), 3),
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
