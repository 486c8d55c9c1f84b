"""SERAC's classifier and counterfactual model: how they are trained, and a round of edits."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.extras.blocks import block, items, packed
from core.editing.extras.retrievers import mean_states
from core.editing.extras.serac import CENTER, FACTS, KEYS, MAP, SETTINGS, A, B, embedded
from core.editing.lane.method import Round
from core.editing.lane.results import RoundUpdate
from core.editing.lane.session import EditSession, model_info
from core.editing.methods._blocks import Factors, switched
from core.editing.methods._fine_tuning import lesson, row_losses
from core.editing.rounds.remembered import listed, remembered, sentence
from core.editing.rounds.sentences import read
from core.editing.stopwatch import SETUP
from core.editing.training.loop import Learner, Params, Schedule
from core.editing.training.world import Taught, lessons
from core.facts.fact import Fact

SLACK = 1e-6  # between p and 1, so that a wrong edit of distance 0 has a finite loss


@runtime_checkable
class Settings(Schedule, Protocol):
    """The settings of `methods.serac.Serac` that are used here."""

    @property
    def size(self) -> int: ...
    @property
    def rank(self) -> int: ...


class ScopeLearner(Learner):
    """The map M of the classifier and the adapter's factors."""

    what = "SERAC's classifier and counterfactual model"

    def __init__(self, session: EditSession, config: Settings):
        self.lm, self.seed, self.config, self.steps = session.lm, session.seed, config, config.steps
        self.layers = range(self.lm.n_layers)  # also the lowest: what is looked up in the sentence depends on them

    @cached_property
    def facts(self) -> list[Taught]:
        """What is learnt from: every second fact keeps its true object."""
        found = lessons(model_info(self.lm), self.config.taught, self.seed)
        return [
            Taught(true_to(one.fact), one.other, one.strange, one.answer) if i % 2 else one
            for i, one in enumerate(found)
        ]

    @cached_property
    def states(self) -> dict[str, Float[Tensor, " d"]]:
        """The mean state of each text, computed once."""
        texts = sorted({text for one in self.facts for text in (one.fact.text, one.other, one.strange)})
        return dict(zip(texts, mean_states(self.lm, texts), strict=True))

    def about(self) -> dict[str, Any]:
        """The settings, and where the adapter is."""
        config = self.config
        return {
            "settings": [config.size, config.rank, config.lr, config.batch, config.taught],
            "layers": list(self.layers),
        }

    def start(self) -> Params:
        """M random, so that distances between states are about 1; B = 0."""
        lm, generator = self.lm, torch.Generator().manual_seed(self.seed)
        states = torch.stack(list(self.states.values()))
        center = states.mean(0)
        spread = float((states - center).norm(dim=1).mean())
        params = {
            MAP: torch.randn(self.config.size, lm.d_model, generator=generator).to(center)
            / (self.config.size**0.5 * spread),
            CENTER: center,
        }
        for layer in self.layers:
            d_out, d_in = lm.original(layer).shape
            a = (2 * torch.rand(1, self.config.rank, d_in, generator=generator) - 1) * d_in**-0.5
            params[f"{A}.{layer}"] = a.to(lm.master_dtype)
            params[f"{B}.{layer}"] = torch.zeros(1, d_out, self.config.rank, dtype=lm.master_dtype)
        return params

    def rates(self) -> dict[str, float]:
        """One step size for all but the center."""
        adapter = [f"{kind}.{layer}" for layer in self.layers for kind in (A, B)]
        return dict.fromkeys([MAP, *adapter], self.config.lr)

    def step(self, params: Params, number: int) -> Tensor:
        """The classifier's loss and the counterfactual model's, on a batch that the step's number draws. They share no
        parameters, so their weights play no part in Adam's steps."""
        rng = random.Random(f"serac {self.seed} {number}")
        chosen = rng.sample(self.facts, min(self.config.batch, len(self.facts)))
        return self.scope_loss(params, chosen) + self.answer_loss(params, chosen, rng)

    def scope_loss(self, params: Params, chosen: list[Taught]) -> Tensor:
        """− log p of a fact's other prompt, and − log (1 − p) of a question about another subject of its relation and
        of a prompt of another fact; means of both kinds, added."""
        texts = {
            "edit": [one.fact.text for one in chosen],
            "same": [one.other for one in chosen],
            "near": [one.strange for one in chosen],
            "far": [one.other for one in [*chosen[1:], chosen[0]]],
        }
        encode, center = params[MAP], params[CENTER]
        placed = {
            kind: (torch.stack([self.states[text] for text in own]).to(center) - center) @ encode.T
            for kind, own in texts.items()
        }
        gap = {kind: (placed["edit"] - placed[kind]).square().sum(1) for kind in ("same", "near", "far")}
        strange = [gap["near"], gap["far"]] if len(chosen) > 1 else [gap["near"]]
        return gap["same"].mean() - torch.log1p(-(1 - SLACK) * torch.exp(-torch.cat(strange))).mean()

    def answer_loss(self, params: Params, chosen: list[Taught], rng: random.Random) -> Tensor:
        """− log p of the object after the sentence and one of the two prompts."""
        rows = []
        for one in chosen:
            question = one.other if rng.random() < 0.5 else one.fact.text
            asked = Fact(subject=one.fact.subject, prompt=f"{sentence(one.fact)} {question}", target=one.fact.target)
            rows.append(lesson(self.lm, asked, teacher_forced=True))
        with switched(self.lm, factors(params, self.layers), rows, torch.zeros(len(rows), dtype=torch.long)):
            return row_losses(self.lm, rows).mean()


def true_to(fact: Fact) -> Fact:
    """The fact with its true object."""
    return Fact(subject=fact.subject, prompt=fact.prompt, target=fact.truth or fact.target, relation=fact.relation)


def factors(params: Mapping[str, Tensor], layers: Any) -> Factors:
    """The adapter's factors by layer."""
    return {layer: (params[f"{A}.{layer}"], params[f"{B}.{layer}"]) for layer in layers}


def listed_edits(round_: Round, params: Params, threshold: float) -> RoundUpdate:
    """The round's facts after those that the lane has, with their vectors; in the first round also what was learnt."""
    before = round_.state.memory
    with round_.session.watch.phase(SETUP):
        notes = read(round_, [sentence(fact) for fact in round_.facts])
    with round_.session.watch.phase("values"):
        new = [{"prompt": fact.text, "sentence": sentence(fact)} for fact in round_.facts]
        memory = listed(before, FACTS, new)
        learnt = {name: before.get(name, value.cpu()) for name, value in params.items()}
        layers = sorted(int(name.rpartition(".")[2]) for name in learnt if name.startswith(f"{A}."))
        if SETTINGS not in before:
            memory |= learnt
        memory[SETTINGS] = packed({"threshold": threshold, "layers": layers})
        prompts = [fact.text for fact in round_.facts]
        memory[block(KEYS, len(items(before, FACTS)))] = embedded(round_.lm, prompts, learnt[MAP], learnt[CENTER])
        return remembered(memory, facts=len(new), notes=notes)
