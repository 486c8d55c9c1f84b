"""Questions about a run that the worker answers: what does the model say at a round, how do its representations lie?"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from core.editing.deltas.ledger import Ledger
from core.errors import UserError, nearest
from core.facts.source import load_facts
from core.measures.session import MeasureSession
from core.models.generation import generate, next_tokens
from core.models.language_model import LanguageModel
from core.runs.engine.laboratory import POCKET, Laboratory
from core.runs.engine.states import wearing
from core.runs.export.answer import export_answer
from core.runs.opened.fact_card import FactCards
from core.runs.opened.film import film
from core.runs.opened.sandbox import Sandbox
from core.runs.progress.control import Control
from core.runs.spec.left_out import left_out
from core.runs.spec.plan import Plan
from core.runs.spec.problems import whole
from core.runs.spec.run_spec import MOST_ROWS, RunSpec
from core.runs.store.folder import RunFolder
from core.runs.store.store import Run

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
        self._layers: OrderedDict[tuple[str, int], dict[str, list[int]]] = OrderedDict()
        self._measures: tuple[tuple[str, list[int]], MeasureSession] | None = None
        self._sandbox = Sandbox(laboratory)
        self._cards = FactCards(laboratory)

    def ready(self, run: Run | None, payload: Mapping[str, Any]) -> bool:
        """Whether the model that is to answer is loaded."""
        return self._has(self._asked(run, payload))

    def answer(
        self, run: Run | None, kind: str, payload: Mapping[str, Any], control: Control | None = None
    ) -> dict[str, Any]:
        """The answer to a question (`commands.QUESTIONS`); loads the model that is asked if it must. `UserError` for
        bad questions. What takes long (an export, a round that comes next) tells `control` how far it is, and is ended
        by it (`Interrupted`).

        A probe of no run, or of one that has not begun, is of an unedited model and has no lane: of the model that the
        run or the payload names where that is the loaded one, of the pocket model where it is not.
        """
        begun = run is not None and self._edited(run) is not None
        if kind in ("map", "fact", "film", "sandbox") and not begun:
            raise UserError("this run has not begun yet; ask again when its first round is being edited")
        control, random = control or Control(), torch.get_rng_state()
        try:
            if kind == "export" and run is not None:
                return export_answer(run, payload, self._laboratory, control)
            lm = self._laboratory.model(self._asked(run, payload))
            if run is None or not begun:
                return {**self._probe(lm, {}, payload, control), "model": lm.reference, "lane": "", "round": 0}
            if kind == "fact":
                return self._cards.answer(lm, run, payload)
            if kind == "film":
                return film(lm, run, payload, control)
            if kind == "sandbox":
                return self._sandbox.answer(lm, run, self._spec(run), payload, control)
            lane, number, weights = self._state(lm, run, payload)
            at = run, lane, number, weights, payload
            found = self._probe(lm, weights, payload, control) if kind == "probe" else self._map(*at)
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
        return self._laboratory.has(spec)

    def _probe(
        self, lm: LanguageModel, weights: Weights, payload: Mapping[str, Any], control: Control
    ) -> dict[str, Any]:
        """The likeliest next tokens and the continuation of a prompt, of the base model and of this state."""
        began = time.perf_counter()
        prompt = str(payload.get("prompt", "")).strip()
        if not 0 < len(prompt) <= LONGEST:
            raise UserError(f"a prompt of 1 to {LONGEST:,} characters is needed, not {len(prompt):,}")
        length = len(lm.encode(lm.asked(prompt)))
        if length >= lm.max_length:
            raise UserError(f"the prompt is longer than the {lm.max_length:,} tokens that this model reads")
        top = _whole(payload, "top", 10, 100)
        new = min(_whole(payload, "new_tokens", 20, MOST_NEW), lm.max_length - length)
        asked = (lm.fingerprint, lm.asked(prompt), top, new)
        if asked not in self._base:
            self._base[asked] = _said(lm, {}, prompt, top, new, control)
        _forget(self._base, asked)
        before = self._base[asked]
        after = _said(lm, weights, prompt, top, new, control) if weights else before
        return {"prompt": prompt, "before": before, "after": after, "seconds": time.perf_counter() - began}

    def _map(self, run: Run, lane: str, number: int, weights: Weights, payload: Mapping[str, Any]) -> dict[str, Any]:
        method = str(payload.get("method", "pca"))
        if method not in MAPS:
            raise UserError(f'there is no map "{method}"; {nearest(method, MAPS)}')
        spec, session = self._spec(run), self._session(run)
        plan, missing = Plan(len(session.facts), spec.round_size), left_out(run.spec["lanes"], spec.round_size)[lane]
        drawn = session.map(weights, plan.edited_by(number, missing), method)
        if drawn is None:
            raise UserError("there are too few facts for a map")
        return drawn

    def _session(self, run: Run) -> MeasureSession:
        """A session that only draws maps, kept for the run asked about last."""
        layers = sorted({layer for own in (self._edited(run) or {}).values() for layer in own})
        if self._measures is None or self._measures[0] != (run.id, layers):
            spec = self._spec(run)
            lm, facts = self._laboratory.model(spec), load_facts(spec.facts, self._laboratory.assets)
            config = spec.measure.model_copy(update={"tasks": False, "inside": False, "maps": "pca"})
            session = MeasureSession(lm, facts.edit, facts.unedited, layers, config, self._laboratory.assets)
            self._measures = ((run.id, layers), session)
        return self._measures[1]

    def _spec(self, run: Run) -> RunSpec:
        if run.id not in self._specs:
            self._specs[run.id] = RunSpec.from_dict(run.spec, max_facts=MOST_ROWS)
        _forget(self._specs, run.id)
        return self._specs[run.id]

    def _edited(self, run: Run) -> dict[str, list[int]] | None:
        """The edited layers of each lane of a run that has begun; None of one that has not."""
        folder = RunFolder(run.folder)
        try:
            version = (run.id, (folder.path / "spec.json").stat().st_mtime_ns)  # written anew when lanes are added
        except FileNotFoundError:
            return None
        if version not in self._layers:
            written = folder.read_spec()  # holds all facts: read once
            if written is None:
                return None
            self._layers[version] = written["resolved"]["layers"]
        _forget(self._layers, version)
        return self._layers[version]

    def _state(self, lm: LanguageModel, run: Run, payload: Mapping[str, Any]) -> tuple[str, int, Weights]:
        """(lane, round, what the model wears there), rebuilt from the ledger."""
        layers = self._edited(run) or {}
        lane = str(payload.get("lane") or next(iter(layers)))
        if lane not in layers:
            raise UserError(f'there is no lane "{lane}"; {nearest(lane, layers)}')
        ledger = Ledger(RunFolder(run.folder).ledger)
        last = max(ledger.rounds(lane), default=0)
        asked = payload.get("round")
        number = last if asked is None else whole(asked, "round")
        without = _numbers(payload.get("without"), "without")
        for there in (number, *without):
            if not 0 <= there <= last:
                raise UserError(f"round {there} of {lane} is not edited yet; rounds 0 to {last} are")
        place = (run.id, lane, number, without)
        if place not in self._states:
            worn = wearing(lm, run.spec["lanes"]) if without else None
            state = ledger.rebuild(lm, lane, layers[lane], number, without, worn)
            self._states[place] = state.weights if number else {}
        _forget(self._states, place)
        return lane, number, self._states[place]


def _said(lm: LanguageModel, weights: Weights, prompt: str, top: int, new: int, control: Control) -> dict[str, Any]:
    with lm.worn(weights):
        text = generate(lm, [prompt], new, beat=control.heartbeat)[0]
        return {"next": next_tokens(lm, prompt, top), "text": text}


def _forget(kept: OrderedDict[Any, Any], used: Any) -> None:
    """Keep what was used last, `used` among it."""
    kept.move_to_end(used)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _whole(payload: Mapping[str, Any], name: str, default: int, most: int) -> int:
    return min(max(1, whole(payload.get(name) or default, name)), most)


def _numbers(given: Any, name: str) -> tuple[int, ...]:
    """The rounds of a list, in their order."""
    if not isinstance(given, (list, tuple, type(None))):
        raise UserError(f"{name} should be a list of rounds such as [3, 5], not {given!r}")
    return tuple(sorted({whole(one, name) for one in given or ()}))
