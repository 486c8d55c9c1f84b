"""Training of what a method needs, once per model: it says how long it takes, can be stopped at any step, and goes on
from there to the same bits; the result is kept in a file under a fingerprint of all that it depends on."""

from __future__ import annotations

import hashlib
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors.torch import save_file
from torch import Tensor

from core.editing.failure import EditFailure
from core.editing.lane.session import EditSession
from core.editing.statistics.second_moment import roughly
from core.models.language_model import LanguageModel
from core.tensor_files import Unreadable, read_tensors

FORMAT = 1  # a higher number trains anew
SAVE_SECONDS = 30.0  # between two saves of what is not done
Params = dict[str, Tensor]
Beat = Callable[[], None]


@dataclass(frozen=True)
class Learning:
    """Progress: steps `done` of `total`, and the seconds left at the speed so far (None before the first step)."""

    what: str
    done: int
    total: int
    seconds_left: float | None = None

    @property
    def message(self) -> str:
        """The same as a sentence."""
        left = "how long it takes is measured on the first step" if self.seconds_left is None else ""
        return f"Training {self.what}, once per model: {left or roughly(self.seconds_left or 0.0) + ' left'}"


@runtime_checkable
class Schedule(Protocol):
    """The hyperparameters of a training."""

    @property
    def lr(self) -> float: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def taught(self) -> int: ...


class Learner(ABC):
    """What is trained. Its parameters are tensors by name; a step depends on its number alone, so that whoever goes on
    takes the same ones."""

    what: str  # in messages
    steps: int

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """All settings that the result depends on, as JSON."""

    @abstractmethod
    def start(self) -> Params:
        """The parameters before the first step."""

    @abstractmethod
    def rates(self) -> Mapping[str, float]:
        """Adam's step size of each parameter; those without one are not trained by it."""

    @abstractmethod
    def step(self, params: Params, number: int) -> Tensor:
        """The loss of a step. It may change parameters without a step size in place (running statistics)."""


def learnt(
    session: EditSession,
    learner: Learner,
    heartbeat: Beat | None = None,
    progress: Callable[[Learning], None] | None = None,
) -> Params:
    """The parameters after training: kept by the session, read from its folder, or trained now.

    `heartbeat` is called before each step. If it raises, what was learnt so far is saved, and the next call goes on.
    """
    name = name_of(session.lm, session.seed, learner)
    if ("learnt", name) not in session.memo:
        with session.setup():
            session.memo["learnt", name] = read_or_trained(session, learner, name, heartbeat, progress)
    return session.memo["learnt", name]


def name_of(lm: LanguageModel, seed: int, learner: Learner) -> str:
    """The name of the file: everything that the result depends on, but for how the processor rounds."""
    about = [FORMAT, lm.fingerprint, str(lm.dtype), lm.device.type, seed, learner.what, learner.steps, learner.about()]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def read_or_trained(
    session: EditSession,
    learner: Learner,
    name: str,
    heartbeat: Beat | None,
    progress: Callable[[Learning], None] | None,
) -> Params:
    """The parameters in the session's folder, else trained; both on the model's device."""
    whole = None if session.trained is None else session.trained / f"{name}.safetensors"
    found = None if whole is None else read(whole)
    if found is None:
        part = None if whole is None else whole.with_suffix(".part.safetensors")
        found = Course(session.lm, learner, part).taken(heartbeat, progress)
        if whole is not None and part is not None:
            write(whole, found)
            part.unlink(missing_ok=True)
    return {key: value.to(session.lm.device) for key, value in found.items()}


class Course:
    """One training: parameters, Adam's moments and the number of steps, in `part` while it is not done."""

    def __init__(self, lm: LanguageModel, learner: Learner, part: Path | None):
        self.lm, self.learner, self.part = lm, learner, part
        stored = {} if part is None else read(part) or {}
        start = {name: value.to(lm.device) for name, value in learner.start().items()}
        self.done = int(stored["done"]) if stored else 0
        self.params = {n: stored.get(f"p.{n}", value).to(lm.device).clone() for n, value in start.items()}
        self.rates = dict(learner.rates())
        for name in self.rates:
            self.params[name].requires_grad_()
        groups = [{"params": [self.params[name]], "lr": rate} for name, rate in self.rates.items()]
        self.adam = torch.optim.Adam(groups)
        for name in self.rates if stored else ():
            self.adam.state[self.params[name]] = {
                "step": torch.tensor(float(self.done)),
                "exp_avg": stored[f"m.{name}"].to(lm.device),
                "exp_avg_sq": stored[f"v.{name}"].to(lm.device),
            }

    def taken(self, heartbeat: Beat | None, progress: Callable[[Learning], None] | None) -> Params:
        """The parameters after all steps."""
        learner, first, began = self.learner, self.done, time.monotonic()
        saved = began
        while self.done < learner.steps:
            fresh = self.done - first
            left = (time.monotonic() - began) / fresh * (learner.steps - self.done) if fresh else None
            if progress is not None:
                progress(Learning(learner.what, self.done, learner.steps, left))
            try:
                if heartbeat is not None:
                    heartbeat()
            except BaseException:
                self.save()
                raise
            self.one()
            if time.monotonic() - saved > SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
        return {name: value.detach().clone() for name, value in self.params.items()}

    def one(self) -> None:
        """A step of Adam."""
        self.adam.zero_grad()
        with torch.enable_grad(), self.lm.worn({}):
            loss = self.learner.step(self.params, self.done)
            loss.backward()
        if not bool(torch.isfinite(loss.detach())):
            raise EditFailure(f"Training {self.learner.what}: the loss is not finite at step {self.done}. Lower lr.")
        for name in self.rates:
            if self.params[name].grad is None:  # so that all have moments
                self.params[name].grad = torch.zeros_like(self.params[name])
        self.adam.step()
        self.done += 1

    def save(self) -> None:
        """Write what was learnt so far, if there is a place for it."""
        if self.part is None or not self.done:
            return
        tensors = {f"p.{name}": value.detach() for name, value in self.params.items()}
        for name in self.rates:
            state = self.adam.state[self.params[name]]
            tensors |= {f"m.{name}": state["exp_avg"], f"v.{name}": state["exp_avg_sq"]}
        write(self.part, tensors | {"done": torch.tensor(self.done)})


def read(path: Path) -> Params | None:
    """The tensors of a file; None if it is not there or damaged: then it is made anew."""
    try:
        return read_tensors(path)[0]
    except Unreadable:
        return None


def write(path: Path, tensors: Params) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.draft")
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, draft)
    os.replace(draft, path)
