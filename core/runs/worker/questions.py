"""Answers questions about runs: continuations of prompts, maps of representations, fact cards, films, the sandbox."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from core.errors import UserError, nearest
from core.measures.session import MeasureSession
from core.models.generation import generate, next_tokens
from core.models.language_model import LanguageModel
from core.runs.engine.laboratory import POCKET, Laboratory
from core.runs.export.answer import export_answer
from core.runs.opened.fact_card import fact_card
from core.runs.opened.film import film
from core.runs.opened.run import LaneAt, OpenedRun, Weights
from core.runs.opened.sandbox import sandbox
from core.runs.progress.control import Control
from core.runs.spec.problems import whole
from core.runs.spec.run_spec import MOST_ROWS, RunSpec
from core.runs.store.store import Run

LONGEST = 2000  # characters of a prompt
MOST_NEW = 100  # tokens of a continuation
MAPS = ("pca", "tsne", "umap")
OF_ROUNDS = ("map", "fact", "film", "sandbox")  # questions about rounds of a run


class QuestionHandler:
    """Answers questions about runs from their folders. The model's weights and torch's random state are restored
    afterwards, so a question does not change a live run."""

    def __init__(self, laboratory: Laboratory):
        self._laboratory = laboratory

    def ready(self, run: Run | None, payload: Mapping[str, Any]) -> bool:
        """Whether the model that would answer is loaded."""
        return self._laboratory.has(self._model_spec(run, payload))

    def answer(
        self, run: Run | None, kind: str, payload: Mapping[str, Any], control: Control | None = None
    ) -> dict[str, Any]:
        """The answer to a question (`commands.QUESTIONS`); loads the model if necessary. Raises `UserError` for bad
        questions. Long work (an export, a pending round) reports progress to `control`, which may interrupt it
        (`Interrupted`).

        A probe without a run, or of a run that has not begun, is of an unedited model and has no lane. The model is the
        one that the run or the payload names if that is loaded, otherwise the pocket model.
        """
        control, random = control or Control(), torch.get_rng_state()
        opened = None if run is None else OpenedRun(run.folder, self._laboratory, control)
        begun = opened is not None and opened.begun
        if kind in OF_ROUNDS and not begun:
            raise UserError("this run has not begun yet; ask again when its first round is being edited")
        try:
            if kind == "export" and run is not None:
                return export_answer(run, payload, self._laboratory, control)
            if run is None or opened is None or not begun:
                lm = self._laboratory.model(self._model_spec(run, payload))
                answer = self._probe(lm, {}, payload, control)
                return {**answer, "model": lm.reference, "lane": "", "round": 0}
            if kind == "fact":
                return fact_card(opened, payload)
            if kind == "film":
                return film(opened, payload)
            if kind == "sandbox":
                return sandbox(opened, run, payload)
            at = state_of(opened, payload)
            weights = at.weights
            answer = (
                self._probe(opened.lm, weights, payload, control) if kind == "probe" else _map(at, weights, payload)
            )
        finally:
            torch.set_rng_state(random)
        return {**answer, "lane": at.lane.label, "round": at.round}

    def _model_spec(self, run: Run | None, payload: Mapping[str, Any]) -> RunSpec:
        """A spec that names the model that answers."""
        if run is not None:
            opened = OpenedRun(run.folder, self._laboratory)
            spec = opened.spec if opened.begun else RunSpec.from_dict(run.spec, max_facts=MOST_ROWS)
            if opened.begun or self._laboratory.has(spec):
                return spec
        else:
            named = POCKET.model_copy(update={"model": str(payload.get("model") or POCKET.model)})
            if self._laboratory.has(named):
                return named
        return POCKET

    def _probe(
        self, lm: LanguageModel, weights: Weights, payload: Mapping[str, Any], control: Control
    ) -> dict[str, Any]:
        """The likeliest next tokens and the continuation of a prompt, with the base model and with these weights."""
        began = time.perf_counter()
        prompt = str(payload.get("prompt", "")).strip()
        if not 0 < len(prompt) <= LONGEST:
            raise UserError(f"a prompt of 1 to {LONGEST:,} characters is needed, not {len(prompt):,}")
        length = len(lm.encode(lm.asked(prompt)))
        if length >= lm.max_length:
            raise UserError(f"the prompt is longer than the {lm.max_length:,} tokens that this model reads")
        top = _whole(payload, "top", 10, 100)
        new = min(_whole(payload, "new_tokens", 20, MOST_NEW), lm.max_length - length)
        key = "unedited", lm.fingerprint, lm.asked(prompt), top, new
        before = self._laboratory.recent.made(key, lambda: _continuation(lm, {}, prompt, top, new, control))
        after = _continuation(lm, weights, prompt, top, new, control) if weights else before
        return {"prompt": prompt, "before": before, "after": after, "seconds": time.perf_counter() - began}


def state_of(run: OpenedRun, payload: Mapping[str, Any]) -> LaneAt:
    """The lane and round that a question is about (its `lane`, `round` and `without`). Raises `UserError`."""
    lane, round_ = run.lane(str(payload.get("lane") or run.labels[0])), payload.get("round")
    number = None if round_ is None else whole(round_, "round")
    return lane.at(number, _numbers(payload.get("without"), "without"))


def _map(at: LaneAt, weights: Weights, payload: Mapping[str, Any]) -> dict[str, Any]:
    method = str(payload.get("method", "pca"))
    if method not in MAPS:
        raise UserError(f'there is no map "{method}"; {nearest(method, MAPS)}')
    if not at.lane.layers:
        raise UserError(f"{at.lane.label} changes what the model reads, not its states: there is no map of it")
    drawn = _mapping(at.lane.run).map(weights, at.lane.edited_by(at.round), method)
    if drawn is None:
        raise UserError("there are too few facts for a map")
    return drawn


def _mapping(run: OpenedRun) -> MeasureSession:
    """A session that only draws maps."""
    layers = sorted({layer for own in run.layers.values() for layer in own})
    config = run.spec.measure.model_copy(update={"tasks": False, "inside": False, "maps": "pca", "generated": 0})
    facts, lm, recent = run.facts, run.lm, run.laboratory.recent

    def made() -> MeasureSession:
        return MeasureSession(lm, facts.edit, facts.unedited, layers, config, run.laboratory.assets)

    return recent.made(("maps", str(run.folder.path)), made, version=tuple(layers))


def _continuation(
    lm: LanguageModel, weights: Weights, prompt: str, top: int, new: int, control: Control
) -> dict[str, Any]:
    with lm.worn(weights):
        text = generate(lm, [prompt], new, beat=control.heartbeat)[0]
        return {"next": next_tokens(lm, prompt, top), "text": text}


def _whole(payload: Mapping[str, Any], name: str, default: int, most: int) -> int:
    return min(max(1, whole(payload.get(name) or default, name)), most)


def _numbers(values: Any, name: str) -> tuple[int, ...]:
    """The rounds of a list, in their order."""
    if not isinstance(values, (list, tuple, type(None))):
        raise UserError(f"{name} should be a list of rounds such as [3, 5], not {values!r}")
    return tuple(sorted({whole(value, name) for value in values or ()}))
