"""Questions about a run that the worker answers: what does the model say at a round, how do its representations lie?"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from core.editing.ledger import Ledger
from core.errors import UserError, nearest
from core.facts.source import load_facts
from core.measures.session import MeasureSession
from core.models.generation import generate, next_tokens
from core.models.language_model import LanguageModel
from core.runs.folder import RunFolder
from core.runs.laboratory import POCKET, Laboratory
from core.runs.spec import MOST_ROWS, RunSpec
from core.runs.store import Run

LONGEST = 2000  # characters of a prompt
MOST_NEW = 100  # tokens of a continuation
REMEMBERED = 6  # states of lanes, specs of runs and answers of the base model, of those asked about last
MAPS = ("pca", "tsne", "umap")

Weights = Mapping[int, Tensor]


class Answers:
    """Answers probes and maps from the ledgers of runs. Whatever the model wears, it wears again afterwards, and the
    random numbers of a run that goes on are not touched: asking changes nothing."""

    def __init__(self, laboratory: Laboratory):
        self._laboratory = laboratory
        self._states: OrderedDict[tuple[str, str, int, tuple[int, ...]], Weights] = OrderedDict()
        self._base: OrderedDict[tuple[str, str, int, int], dict[str, Any]] = OrderedDict()
        self._specs: OrderedDict[str, RunSpec] = OrderedDict()
        self._layers: OrderedDict[str, dict[str, list[int]]] = OrderedDict()
        self._measures: tuple[str, MeasureSession] | None = None

    def ready(self, run: Run | None, payload: Mapping[str, Any]) -> bool:
        """Whether the model that is to answer is loaded."""
        return self._has(self._asked(run, payload))

    def answer(self, run: Run | None, kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a "probe" or a "map"; loads the model that is asked if it must. `UserError` for bad questions.

        A probe of no run, or of one that has not begun, is of an unedited model and has no lane: of the model that the
        run or the payload names where that is the loaded one, of the pocket model where it is not.
        """
        begun = run is not None and self._edited(run) is not None
        if kind == "map" and not begun:
            raise UserError("this run has not begun yet; ask again when its first round is being edited")
        random = torch.get_rng_state()
        try:
            lm = self._laboratory.model(self._asked(run, payload))
            if run is None or not begun:
                return {**self._probe(lm, {}, payload), "model": lm.reference, "lane": "", "round": 0}
            lane, number, weights = self._state(lm, run, payload)
            found = self._probe(lm, weights, payload) if kind == "probe" else self._map(run, number, weights, payload)
        finally:
            torch.set_rng_state(random)
        return {**found, "lane": lane, "round": number}

    def _asked(self, run: Run | None, payload: Mapping[str, Any]) -> RunSpec:
        """A spec of the model that is to answer."""
        if run is not None:
            spec = self._spec(run)
            if self._edited(run) is not None or self._has(spec):
                return spec
        else:
            named = POCKET.model_copy(update={"model": str(payload.get("model") or POCKET.model)})
            if self._has(named):
                return named
        return POCKET

    def _has(self, spec: RunSpec) -> bool:
        return self._laboratory.has(spec.model, spec.device, spec.dtype)

    def _probe(self, lm: LanguageModel, weights: Weights, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The likeliest next tokens and the continuation of a prompt, of the base model and of this state."""
        began = time.perf_counter()
        prompt = str(payload.get("prompt", "")).strip()
        if not 0 < len(prompt) <= LONGEST:
            raise UserError(f"a prompt of 1 to {LONGEST:,} characters is needed, not {len(prompt):,}")
        if len(lm.encode(prompt)) >= lm.max_length:
            raise UserError(f"the prompt is longer than the {lm.max_length:,} tokens that this model reads")
        top = _whole(payload, "top", 10, 100)
        new = min(_whole(payload, "new_tokens", 20, MOST_NEW), lm.max_length - len(lm.encode(prompt)))
        asked = (lm.fingerprint, prompt, top, new)
        if asked not in self._base:
            self._base[asked] = _said(lm, {}, prompt, top, new)
        _forget(self._base, asked)
        before = self._base[asked]
        after = _said(lm, weights, prompt, top, new) if weights else before
        return {"prompt": prompt, "before": before, "after": after, "seconds": time.perf_counter() - began}

    def _map(self, run: Run, number: int, weights: Weights, payload: Mapping[str, Any]) -> dict[str, Any]:
        method = str(payload.get("method", "pca"))
        if method not in MAPS:
            raise UserError(f'there is no map "{method}"; {nearest(method, MAPS)}')
        edited = range(min(number * self._spec(run).round_size, len(self._session(run).facts)))
        drawn = self._session(run).map(weights, list(edited), method)
        if drawn is None:
            raise UserError("there are too few facts for a map")
        return drawn

    def _session(self, run: Run) -> MeasureSession:
        """A session that only draws maps, kept for the run asked about last."""
        if self._measures is None or self._measures[0] != run.id:
            spec = self._spec(run)
            lm, facts = self._laboratory.model(spec), load_facts(spec.facts, self._laboratory.assets)
            config = spec.measure.model_copy(update={"tasks": False, "inside": False, "maps": "pca"})
            layers = sorted({layer for own in (self._edited(run) or {}).values() for layer in own})
            session = MeasureSession(lm, facts.edit, facts.unedited, layers, config, self._laboratory.assets)
            self._measures = (run.id, session)
        return self._measures[1]

    def _spec(self, run: Run) -> RunSpec:
        if run.id not in self._specs:
            self._specs[run.id] = RunSpec.from_dict(run.spec, max_facts=MOST_ROWS)
        _forget(self._specs, run.id)
        return self._specs[run.id]

    def _edited(self, run: Run) -> dict[str, list[int]] | None:
        """The edited layers of each lane of a run that has begun; None of one that has not."""
        if run.id not in self._layers:
            written = RunFolder(run.folder).read_spec()  # holds all facts: read once
            if written is None:
                return None
            self._layers[run.id] = written["resolved"]["layers"]
        _forget(self._layers, run.id)
        return self._layers[run.id]

    def _state(self, lm: LanguageModel, run: Run, payload: Mapping[str, Any]) -> tuple[str, int, Weights]:
        """(lane, round, what the model wears there), rebuilt from the ledger."""
        layers = self._edited(run) or {}
        lane = str(payload.get("lane") or next(iter(layers)))
        if lane not in layers:
            raise UserError(f'there is no lane "{lane}"; {nearest(lane, layers)}')
        ledger = Ledger(RunFolder(run.folder).ledger)
        last = max(ledger.rounds(lane), default=0)
        asked = payload.get("round")
        number = last if asked is None else _number(asked, "round")
        without = _numbers(payload.get("without"), "without")
        for there in (number, *without):
            if not 0 <= there <= last:
                raise UserError(f"round {there} of {lane} is not edited yet; rounds 0 to {last} are")
        place = (run.id, lane, number, without)
        if place not in self._states:
            state = ledger.rebuild(lm, lane, layers[lane], number, without)
            self._states[place] = state.weights if number else {}
        _forget(self._states, place)
        return lane, number, self._states[place]


def _said(lm: LanguageModel, weights: Weights, prompt: str, top: int, new: int) -> dict[str, Any]:
    with lm.worn(weights):
        return {"next": next_tokens(lm, prompt, top), "text": generate(lm, [prompt], new)[0]}


def _forget(kept: OrderedDict[Any, Any], used: Any) -> None:
    """Keep what was used last, `used` among it."""
    kept.move_to_end(used)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _whole(payload: Mapping[str, Any], name: str, default: int, most: int) -> int:
    return min(max(1, _number(payload.get(name) or default, name)), most)


def _number(given: Any, name: str) -> int:
    try:
        return int(given)
    except (TypeError, ValueError):
        raise UserError(f"{name} should be a whole number, not {given!r}") from None


def _numbers(given: Any, name: str) -> tuple[int, ...]:
    """The rounds of a list, in their order."""
    if not isinstance(given, (list, tuple, type(None))):
        raise UserError(f"{name} should be a list of rounds such as [3, 5], not {given!r}")
    return tuple(sorted({_number(one, name) for one in given or ()}))
