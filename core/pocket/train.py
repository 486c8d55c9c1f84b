"""Training: a stream of batches, one optimiser, a schedule over time or steps, checkpoints and exports.

Every step depends on (seed, step) and on the state alone, so a resumed run equals one never stopped as long as the
schedule runs over steps; a schedule over minutes depends on the machine's speed.
"""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .build import build
from .corpus import Rows, epoch_batches, epoch_sentences, held_out_prompts
from .model import (
    Shape,
    drop_neurons,
    hide_words,
    narrow_readers,
    new_model,
    parameter_count,
    set_hidden,
    take_meaning_loss,
    take_write_size,
    watch_words,
    watch_writes,
    widened,
)
from .tasks import Task, all_tasks
from .tokenizer import load_tokenizer
from .world import World, read_world


@dataclass(frozen=True, kw_only=True)
class Training:
    """The settings of training. Exactly one of `minutes` and `steps` must be set; it is the length of training."""

    minutes: float | None = None
    steps: int | None = None
    seed: int = 0
    shape: Shape = Shape()
    batch_tokens: int = 4_096
    learning_rate: float = 1.2e-3
    down_rate: float = 0.3  # of the down-projections, times the rate: they have eight times the inputs of others
    warmup_steps: int = 100
    decay_from: float = 0.4  # the rate is flat until this share of the run, then falls linearly
    final_share: float = 0.02
    weight_decay: float = 0.01
    neuron_drop: float = 0.05  # of the FFNs under `read_from`
    reader_neurons: int = 192  # of the FFNs from `read_from` on
    write_penalty: float = 0.02  # times the mean square that a module writes: many small writes cost less than one
    meaning_loss: float = 0.5  # times the loss of what words mean, read from their states where they are first seen
    read_depth: float = 0.6  # under this share of the depth, what follows a word does not see it, in `late_share`
    late_share: float = 0.8  # of the rows
    compile: bool = False
    export_minutes: float = 10.0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("say how long to train: either minutes or steps")

    @property
    def read_from(self) -> int:
        """The layer from which on a name or coined word is always read by what follows it."""
        return round(self.read_depth * self.shape.layers)


@dataclass
class Position:
    """The position of training: optimiser steps done, seconds spent, tokens seen, and the place in the stream."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    epoch: int = 0
    batch: int = 0

    def progress(self, plan: Training) -> float:
        """Share of the run that is done, 0..1."""
        if plan.minutes is not None:
            return min(self.seconds / (60 * plan.minutes), 1.0)
        done = self.step / max(plan.steps or 0, 1)
        return min(done, 1.0)


def learning_rate(plan: Training, position: Position) -> float:
    """Warm-up over steps, then flat, then linear to `final_share` of the peak."""
    warm = min(1.0, (position.step + 1) / plan.warmup_steps)
    fallen = max(0.0, position.progress(plan) - plan.decay_from) / (1 - plan.decay_from)
    return plan.learning_rate * warm * (1 - fallen * (1 - plan.final_share))


def stream(world: World, tasks: list[Task], tokenizer, plan: Training, position: Position) -> Iterator[Rows]:
    """An infinite stream of batches from `position`; advances `position.epoch` and `position.batch`."""
    forbidden = held_out_prompts(tasks, plan.seed)
    while True:
        key = f"train-{plan.seed}-{position.epoch}"
        batches = epoch_batches(epoch_sentences(world, tasks, forbidden, key), tokenizer, plan.batch_tokens, key)
        while position.batch < len(batches):
            position.batch += 1
            yield batches[position.batch - 1]
        position.epoch, position.batch = position.epoch + 1, 0


def weighted_loss(logits: Tensor, tokens: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy of the next tokens under `weights`, and the share of answer tokens that are arg-max.

    logits [rows, length, vocabulary], tokens and weights [rows, length].
    """
    predicted, targets, weight = logits[:, :-1].float(), tokens[:, 1:], weights[:, 1:]
    losses = F.cross_entropy(predicted.flatten(0, 1), targets.flatten(), reduction="none").view_as(weight)
    answers = weight == 1
    right = (predicted.argmax(-1) == targets)[answers].float().mean()
    return (losses * weight).sum() / weight.sum(), right


def new_optimizer(model: torch.nn.Module, plan: Training) -> torch.optim.AdamW:
    """AdamW; vectors (norm scales) are not decayed. A group's `scale` multiplies the rate."""
    named = list(model.named_parameters())
    down = [p for name, p in named if "down_proj" in name]
    matrices = [p for name, p in named if p.ndim >= 2 and "down_proj" not in name]
    vectors = [p for _, p in named if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": plan.weight_decay, "scale": 1.0},
        {"params": down, "weight_decay": 0.0, "scale": plan.down_rate},
        {"params": vectors, "weight_decay": 0.0, "scale": 1.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.98), fused=True)


def export(model, tokenizer, folder: Path) -> None:
    """Write a bf16 model folder; readers see either the old folder or the new one."""
    fresh, old = folder.with_name(f".{folder.name}-new"), folder.with_name(f".{folder.name}-old")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    stock = widened(model).bfloat16()
    stock.set_attn_implementation("sdpa")
    stock.save_pretrained(str(fresh))
    tokenizer.save_pretrained(str(fresh))
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def save_checkpoint(path: Path, model, optimizer, position: Position) -> None:
    """Write everything that is needed to resume training."""
    part = path.with_suffix(".part")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "position": asdict(position)}, part)
    part.replace(path)


def load_checkpoint(path: Path, model, optimizer) -> Position:
    """Load what `save_checkpoint` wrote into `model` and `optimizer`; return the position.

    Raises ValueError if the checkpoint is of a model of another shape.
    """
    saved = torch.load(path, weights_only=True)
    try:
        model.load_state_dict(saved["model"])
    except RuntimeError as error:
        raise ValueError(f"{path} holds a model of another shape; give the same --width, --layers and --ffn") from error
    optimizer.load_state_dict(saved["optimizer"])
    return Position(**saved["position"])


def train(out: Path, plan: Training, *, resume: bool = False, say: Callable[[str], None] = print):
    """Train on the world in `out` (built from the seed if absent) and export to `out/model`; return the model.

    `out/checkpoint.pt` is renewed at every export. Raises FileNotFoundError if asked to resume without one.
    """
    checkpoint = out / "checkpoint.pt"
    if resume and not checkpoint.exists():
        raise FileNotFoundError(f"nothing to resume: {checkpoint} does not exist; train without --resume")
    if not (out / "world" / "facts.jsonl").exists():
        build(out, plan.seed)
    world, tokenizer = read_world(out / "world"), load_tokenizer(out / "model")
    tasks = all_tasks(world)
    model = new_model(tokenizer, plan.shape, plan.seed)
    model.set_attn_implementation("eager")  # on a CPU, the backward pass of the fused one is slow on short rows
    narrow_readers(model, plan.read_from, plan.reader_neurons)
    optimizer = new_optimizer(model, plan)
    position = load_checkpoint(checkpoint, model, optimizer) if resume else Position()
    watch_writes(model)
    watch_words(model, plan.read_from)
    hide_words(model)
    drop_neurons(model, plan.read_from, plan.neuron_drop)
    model.train()
    forward = torch.compile(model, dynamic=False) if plan.compile else model
    say(f"{parameter_count(model) / 1e6:.1f}M parameters, {len(world.facts)} facts, from step {position.step}")

    began, exported = time.monotonic() - position.seconds, position.seconds
    recent: list[tuple[float, float, float]] = []
    reported_at, reported_tokens = position.seconds, position.tokens
    batches = stream(world, tasks, tokenizer, plan, position)
    while position.progress(plan) < 1:
        rate = learning_rate(plan, position)
        recent.append(_step(forward, model, optimizer, next(batches), rate, plan, position.step))
        position.step += 1
        position.tokens += plan.batch_tokens
        position.seconds = time.monotonic() - began
        if position.step % 50 == 0:
            speed = (position.tokens - reported_tokens) / (position.seconds - reported_at)
            say(_progress_line(plan, position, recent, rate, speed))
            recent, reported_at, reported_tokens = [], position.seconds, position.tokens
        if position.seconds - exported > 60 * plan.export_minutes:
            exported = position.seconds
            save_checkpoint(checkpoint, model, optimizer, position)
            export(model, tokenizer, out / "model")
    save_checkpoint(checkpoint, model, optimizer, position)
    export(model, tokenizer, out / "model")
    record = {"plan": asdict(plan), "position": asdict(position), "parameters": parameter_count(model),
              "threads": torch.get_num_threads(), "torch": torch.__version__}  # fmt: skip
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    say(f"done: {position.step} steps, {position.tokens / 1e6:.2f}M tokens, {position.seconds / 60:.1f} minutes")
    return model


def _step(forward, model, optimizer, rows: Rows, rate: float, plan: Training, step: int) -> tuple[float, float, float]:
    """One optimiser step; returns (loss, share of answer tokens right, loss of what words mean)."""
    torch.manual_seed(plan.seed * 1_000_003 + step)  # for hidden words and dropped neurons of this step
    set_hidden(model, plan.read_from, torch.from_numpy(rows.words), plan.late_share)
    tokens, weights = torch.from_numpy(rows.tokens), torch.from_numpy(rows.weights)
    with torch.autocast("cpu", torch.bfloat16):
        logits = forward(input_ids=tokens, use_cache=False).logits
        meant = take_meaning_loss(model, plan.read_from, torch.from_numpy(rows.meanings))
    loss, right = weighted_loss(logits, tokens, weights)
    (loss + plan.meaning_loss * meant + plan.write_penalty * take_write_size(model)).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item(), right.item(), meant.item()


def _progress_line(
    plan: Training, position: Position, recent: list[tuple[float, float, float]], rate: float, speed: float
) -> str:
    loss, right, meant = (math.fsum(values) / len(recent) for values in zip(*recent, strict=True))
    if plan.minutes is not None:
        left = 60 * plan.minutes - position.seconds
    else:
        left = ((plan.steps or 0) - position.step) * plan.batch_tokens / speed
    return (
        f"step {position.step}  epoch {position.epoch}  tokens {position.tokens / 1e6:.2f}M  loss {loss:.3f}  "
        f"answers {right:.3f}  words {meant:.3f}  rate {rate:.1e}  {speed:.0f} tokens/s  "
        f"{max(left, 0) / 60:.1f} min left"
    )
