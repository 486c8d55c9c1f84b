"""Every number that anybody may ask for has a largest value, declared where the number is."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Union, get_args, get_origin

import annotated_types
import pytest
from pydantic import BaseModel

from core import ceiling
from core.editing import guards, methods, priors, wrappers
from core.editing.settings.parameters import checked, parameters
from core.errors import UserError
from core.measures import studies
from core.measures.config import MeasureConfig
from core.runs.export.options import ExportOptions
from core.runs.spec.problems import whole
from core.runs.spec.run_spec import RunSpec
from tests.runs.conftest import FACTS

PACKAGES = (methods, guards, priors, wrappers, studies)
SPEC = {"facts": {"source": "pocket", "count": 4}, "lanes": [{"method": "memit"}]}


def numbers():
    """All numbers of methods, guards, priors, wrappers and studies."""
    return [
        pytest.param(entry, id=f"{package.__name__.split('.')[-1]}-{name}-{entry.name}")
        for package in PACKAGES
        for name in package.names()
        for entry in parameters(package.get(name))
        if entry.kind in ("int", "float", "layers")
    ]


def models(kind, where=""):
    """(path, field) of all fields of a pydantic model and of those within it."""
    for name, entry in kind.model_fields.items():
        inner = entry.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from models(inner, f"{where}{name}.")
        else:
            yield f"{where}{name}", entry


def is_number(annotation):
    """Whether a field may hold a number (bool is none)."""
    inside = get_args(annotation) if get_origin(annotation) in (Union, type(int | None)) else (annotation,)
    return int in inside or float in inside


@pytest.mark.parametrize("entry", numbers())
def test_a_hyperparameter_or_option_has_a_ceiling_and_is_refused_above_it(entry):
    if entry.kind == "layers":
        most, above = ceiling.LAYERS - 1, [ceiling.LAYERS]
        assert checked(entry, [most], "") == (most,)
    elif entry.choices is not None:
        most, above = max(entry.choices), max(entry.choices) + 1
    else:
        most = entry.le if entry.le is not None else entry.lt
        assert most is not None, f"{entry.name}: declare le= or lt=, with a reason in core/ceiling.py"
        above = int(most) + 1 if entry.kind == "int" else float(most) * 1.01
        if entry.le is not None:
            assert checked(entry, entry.le, "") == most
    with pytest.raises(UserError, match=entry.name):
        checked(entry, above, "")


NUMBERS = dict(field for field in models(RunSpec) if is_number(field[1].annotation))


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_of_a_spec_has_a_ceiling_and_is_refused_above_it(name):
    limits = [rule for rule in NUMBERS[name].metadata if isinstance(rule, (annotated_types.Le, annotated_types.Lt))]
    assert limits, f"{name}: declare le=, with a reason in core/ceiling.py"
    most = limits[0].le if isinstance(limits[0], annotated_types.Le) else limits[0].lt
    part, _, inner = name.rpartition(".")
    above = {inner: most + 1}
    spec = {**SPEC, **({part: {**SPEC.get(part, {}), **above}} if part else above)}
    with pytest.raises(UserError, match=inner):
        RunSpec.from_dict(spec)


def test_the_numbers_of_a_spec_are_found():
    assert {"round_size", "seed", "facts.count", "measure.word_tokens", "statistics.tokens"} <= set(NUMBERS)
    assert len(NUMBERS) >= 19


def test_what_stopped_a_lab_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"measure\.word_tokens"):
        RunSpec.from_dict({**SPEC, "measure": {"word_tokens": 1_000_000}})
    lane = {"method": "memit", "lambda": 1e300}
    with pytest.raises(UserError, match=r"lanes\[0\]\.lambda"):
        RunSpec.from_dict({**SPEC, "lanes": [lane]})


def test_numbers_outside_specs_have_ceilings_too():
    assert {entry.name for entry in fields(ExportOptions) if "int" in entry.type or "float" in entry.type} == {
        "rank",
        "error",
    }
    for options in ({"rank": ceiling.WIDTH + 1}, {"error": 1.0}):
        with pytest.raises(UserError):
            ExportOptions.checked("lora", options)
    assert whole("7", "round") == 7
    for given in (10**12 + 1, "9" * 5_000, float("inf"), "many", None):
        with pytest.raises(UserError, match="round should be a whole number"):
            whole(given, "round")


def test_every_ceiling_has_its_reason_and_is_used():
    source = Path(ceiling.__file__).read_text(encoding="utf-8")
    root = Path(ceiling.__file__).parent
    used = {name for file in root.rglob("*.py") for name in re.findall(r"ceiling\.([A-Z_]+)", file.read_text("utf-8"))}
    declared = re.findall(r"^([A-Z_]+) = [^#\n]*(#?.*)$", source, re.M)
    assert {name for name, _ in declared} == used
    for name, reason in declared:
        assert len(reason) > 20, name


def test_the_ceilings_leave_room_for_what_papers_ask():
    """The largest run that a paper has, 20,000 edits in rounds of any size, measured on everything, is a spec."""
    measure = {"sample": None, "final_sample": 20_000, "unedited": 2_000, "word_tokens": 100, "probe_rows": 65_536}
    lane = {"method": "memit", "lambda": 20_000, "steps": 50, "clamp": 4.0}
    spec = {"facts": {"source": "counterfact", "count": 20_000}, "round_size": 20_000, "lanes": [lane]}
    assert RunSpec.from_dict({**spec, "measure": measure, "statistics": {"tokens": 100_000_000}})
    assert MeasureConfig(**measure).rows_for(4096) == 65_536
    assert RunSpec.from_dict({"facts": {"items": FACTS}, "lanes": [lane]})
