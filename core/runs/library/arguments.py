"""From the arguments of `lab.run` to a spec. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from core.errors import UserError
from core.facts.cells import CellError
from core.facts.fact import Fact
from core.facts.source import USUAL, FactsSpec
from core.facts.typed import parse_row
from core.names import WORLDS
from core.runs.library.lane_text import lanes_of
from core.runs.progress.events import SINGLE
from core.runs.spec.problems import SpecError, problems_of
from core.runs.spec.run_spec import MOST_ROWS, RunSpec

ROUNDS = 10  # default number of rounds

Facts = FactsSpec | Fact | Mapping[str, Any] | Iterable[Fact | Mapping[str, Any]]
Lanes = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]


def sample(n: int = USUAL, seed: int = 0, source: str = "pocket", **options: Any) -> FactsSpec:
    """`n` facts of a source: "pocket" (the world of the pocket model) or "everyday" (real facts that SmolLM2 knows),
    sampled by `seed`; a dataset's name, or a file.

    `options` are the other fields of `facts` in a spec: `path`, `subset`, `shuffle`, `order`, `unedited`, … Facts are
    read when the run starts. Raises `UserError`.
    """
    try:
        return FactsSpec.model_validate({"source": source, "count": n, "seed": seed, **options})
    except ValidationError as error:
        raise SpecError(problems_of(error, FactsSpec)) from None


def fact(subject: str, prompt: str, target: str, truth: str | None = None, **more: Any) -> Fact:
    """One fact: after it is edited, the model continues `prompt`, in which `{}` stands for the subject, with `target`
    instead of `truth`. `more` are other columns: `paraphrases`, `neighborhood`, … Raises `UserError`."""
    row = {"subject": subject, "prompt": prompt, "target": target, "truth": truth or "", **more}
    return fact_of(row)


def fact_of(value: Fact | Mapping[str, Any]) -> Fact:
    """A fact from a fact or a dictionary of its columns. Raises `UserError`."""
    if isinstance(value, Fact):
        return value
    if not isinstance(value, Mapping):
        raise UserError(f"a fact is a dictionary with subject, prompt and target, or lab.fact(…), not {value!r}")
    try:
        return parse_row(value)
    except CellError as error:
        raise UserError(f"{error.column}: {error}" if error.column else str(error)) from None


def facts_field(facts: Facts | None, model: str = "") -> dict[str, Any]:
    """The field `facts` of a spec; without any those of the world that the model knows."""
    if facts is None:
        return {"source": WORLDS.get(model, "pocket")}
    if isinstance(facts, FactsSpec):
        return facts.model_dump(mode="json", exclude_defaults=True)
    if isinstance(facts, Mapping) and ("source" in facts or "items" in facts) and "prompt" not in facts:
        return dict(facts)
    entries = [facts] if isinstance(facts, (Fact, Mapping)) else list(facts)
    return {"items": [fact_of(entry).as_dict() for entry in entries]}


def spec_of(
    model: str | Mapping[str, Any],
    facts: Facts | None,
    lanes: Lanes | None,
    round_size: int | None,
    fields: Mapping[str, Any],
) -> RunSpec:
    """The spec of a run. `model` is a model's name, or a whole spec whose fields the other arguments replace. Raises
    `UserError` that lists the problems."""
    whole = isinstance(model, Mapping)
    usual = {"model": model, "facts": facts_field(None, str(model))}
    spec: dict[str, Any] = dict(model) if isinstance(model, Mapping) else usual
    if facts is not None:
        spec["facts"] = facts_field(facts)
    if lanes is not None or "lanes" not in spec:
        spec["lanes"] = lanes_of("memit" if lanes is None else lanes)
    elif isinstance(spec["lanes"], (str, list, tuple)):
        spec["lanes"] = lanes_of(spec["lanes"])
    if round_size is not None:
        spec["round_size"] = round_size
    elif not whole and fields.get("protocol") != SINGLE:
        known = spec["facts"]
        count = len(known["items"]) if "items" in known else known.get("count")
        spec["round_size"] = max(1, -(-(count or USUAL) // ROUNDS))
    return RunSpec.from_dict({**spec, **fields}, max_facts=MOST_ROWS)
