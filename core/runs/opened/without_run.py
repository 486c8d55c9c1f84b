"""A study of a model by itself, without a run: of its unedited weights, with its own world's facts or given ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from core.editing.deltas.ledger import Ledger
from core.editing.lane.session import model_info
from core.editing.recipe import recipe_from_dict
from core.facts.source import load_facts
from core.measures.session import task_names
from core.measures.study.case import Case
from core.runs.engine.laboratory import Laboratory
from core.runs.engine.run_context import about_model, gathering, likely
from core.runs.opened.catalogue import built
from core.runs.opened.study import Moments, announce, described, merged, progress_report
from core.runs.progress.control import Control
from core.runs.progress.eta import Pace
from core.runs.progress.events import Progress
from core.runs.spec.run_spec import RunSpec

NOWHERE = Path("no-run")  # the folder of a ledger that has no rounds


def study_without_run(
    laboratory: Laboratory, spec: RunSpec, name: str, options: Mapping[str, Any], control: Control
) -> dict[str, Any]:
    """The result of a study (as `core.runs.opened.study.study` gives it) of the model, facts and tasks of a spec.

    The only lane is the model itself, with plain MEMIT's defaults and no rounds. Raises `UserError` for bad input, and
    `Interrupted` when `control` ends it. The state of torch's random generator is restored.
    """
    began, chosen, random, pace = time.monotonic(), built(name, options), torch.get_rng_state(), Pace()
    try:
        case = case_without_run(laboratory, spec, control)
        report = progress_report(chosen.title, case.lane, 0, 1, control, pace)
        cases, rounds = {case.lane: replace(case, progress=report)}, {case.lane: [0]}
        announce(chosen, cases, rounds, control, pace)
        results = {lane: chosen.run(one, [0]) for lane, one in cases.items()}
    finally:
        torch.set_rng_state(random)
    about = {"model": about_model(case.lm), "seconds": round(time.monotonic() - began, 3)}
    found = described(name, chosen, rounds, "0", about) | merged(results)
    return found | {"notes": [*laboratory.warnings(spec), *found["notes"]]}


def case_without_run(laboratory: Laboratory, spec: RunSpec, control: Control) -> Case:
    """The model of a spec as studies see a lane. Statistics are read or gathered when they are used. There are no
    texts: studies of a model alone read none, and where nobody names any, the model would have to write them."""
    control.report(Progress(phase="loading", message="Reading the facts"))
    facts = load_facts(spec.facts, laboratory.assets, partial(likely, laboratory, spec, control))
    control.report(Progress(phase="loading", message=f"Loading the model {spec.model}"))
    lm = laboratory.model(spec, control.converting)
    recipe = recipe_from_dict({"method": "memit"}, model_info(lm))

    def gather(some: Sequence[int]) -> Mapping[int, Any]:
        return laboratory.session(spec, some, control.heartbeat, gathering(control)).moments

    moments = Moments(lm.n_layers, gather, partial(laboratory.to_gather, spec))
    return Case(
        lm=lm,
        lane=Path(lm.reference).name if Path(lm.reference).is_dir() else lm.reference,
        recipe=recipe,
        ledger=Ledger(NOWHERE),
        session=replace(laboratory.session(spec, ()), moments=moments),
        facts=facts.edit,
        unedited=facts.unedited,
        cohorts=(),
        tasks=task_names(spec.measure, lm, laboratory.assets),
        task_limit=spec.measure.task_limit,
        assets=laboratory.assets,
        seed=spec.seed,
        recent=laboratory.recent,
    )
