"""What visitors may name: found by declaration, refused before it is looked for."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from core.editing import guards, methods, priors, wrappers
from core.measures import studies
from core.names import Names
from core.runs.opened.catalogue import built
from core.runs.spec.admission import EVERYTHING, Named, Offer, in_options, in_spec, kind_of
from core.runs.spec.problems import SpecError
from core.runs.spec.run_spec import RunSpec

CLOSED = {"device"}  # text that one of a few words must be: its own validator says which
ITEM = {"subject": "France", "prompt": "The capital of {} is", "target": "Lyon"}


def spec(**changes: Any) -> RunSpec:
    return RunSpec.from_dict({"facts": {"items": [ITEM]}, "lanes": [{"method": "memit"}], **changes})


def holds_text(annotation: Any) -> bool:
    """Whether values of this type can be, or hold, any text that somebody typed."""
    if get_origin(annotation) is Literal:
        return False
    return annotation in (str, Any) or any(map(holds_text, get_args(annotation)))


def fields_of(model: type[BaseModel], at: str = ""):
    for name, info in model.model_fields.items():
        inner = [part for part in (info.annotation, *get_args(info.annotation)) if isinstance(part, type)]
        for part in inner:
            if issubclass(part, BaseModel):
                yield from fields_of(part, f"{at}{name}.")
        yield f"{at}{name}", info


def test_every_text_of_a_spec_says_what_it_names():
    said = {where: kind_of(info) for where, info in fields_of(RunSpec) if holds_text(info.annotation)}
    unsaid = {where for where, kind in said.items() if kind is None} - CLOSED
    assert not unsaid, f"declare what they name: Annotated[…, Names.…] (core/names.py): {unsaid}"
    assert {where for where, kind in said.items() if kind is not Names.TEXT} >= {
        *("model", "facts.source", "facts.path", "statistics.texts", "statistics.dataset", "measure.tasks")
    }


def test_every_text_of_an_option_says_what_it_names():
    configs = [
        package.get(name) for package in (methods, guards, priors, wrappers, studies) for name in package.names()
    ]
    assert all(map(is_dataclass, configs))
    unsaid = [
        f"{config.__name__}.{entry.name}"
        for config in configs
        for entry in fields(config)
        if holds_text(get_type_hints(config)[entry.name])
        and not entry.metadata.get("choices")
        and entry.metadata.get("names") is None
    ]
    assert not unsaid, f"give them choices, or say what they name: param(…, names=Names.…) (core/names.py): {unsaid}"


FOREIGN = {
    "a folder of the server": ("model", {"model": "/home/somebody/llama"}),
    "a folder beside the lab": ("model", {"model": "core"}),
    "a model of any size": ("model", {"model": "meta-llama/Llama-3.1-405B"}),
    "a file of facts": ("facts.source", {"facts": {"source": "/etc/passwd.csv"}}),
    "a dataset from the hub": ("facts.source", {"facts": {"source": "counterfact", "count": 2}}),
    "the place of a dataset": ("facts.path", {"facts": {"source": "zsre", "path": "/etc/hosts.json"}}),
    "a text": ("statistics.texts", {"statistics": {"texts": "/etc/passwd"}}),
    "texts of the hub": ("statistics.dataset", {"statistics": {"dataset": "somebody/petabytes"}}),
    "texts to measure on": ("measure.texts", {"measure": {"texts": "/etc/passwd"}}),
    "texts of the hub to measure on": (
        "measure.texts.dataset",
        {"measure": {"texts": {"dataset": "somebody/petabytes"}}},
    ),
    "a task with its template": ("measure.tasks[1]", {"measure": {"tasks": ["sst2", "/tmp/gradio/ab/evil.yaml"]}}),
    "a task beside the lab": ("measure.tasks[0]", {"measure": {"tasks": ["evil.yaml"]}}),
    "tasks beside the lab": ("measure.tasks[0]", {"measure": {"tasks": ["./tests"]}}),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_visitor_names_nothing_of_the_server_and_nothing_of_any_size(what):
    where, changes = FOREIGN[what]
    names = in_spec(spec(**changes))
    with pytest.raises(SpecError) as told:
        Offer().admit(names)
    assert where in [problem.where for problem in told.value.problems]
    EVERYTHING.admit(names)


@pytest.mark.parametrize(
    ("study", "options", "where"),
    [
        ("generation", {"judge": "/home/somebody/llama"}, "judge"),
        ("generation", {"judge": "meta-llama/Llama-3.1-405B"}, "judge"),
        ("decomposition", {"tasks": "sst2, /tmp/gradio/ab/evil.yaml"}, "tasks"),
    ],
)
def test_a_study_names_no_more_than_a_run(study, options, where):
    with pytest.raises(SpecError) as told:
        Offer().admit(in_options(built(study, options)))
    assert [problem.where for problem in told.value.problems] == [where]


def test_what_is_offered_may_be_named():
    asked = spec(
        model="openai-community/gpt2",
        facts={"source": "counterfact", "count": 2},
        statistics={"dataset": "wikitext", "subset": "wikitext-103-raw-v1"},
        measure={"tasks": ["sst2", "standard", "longproc_tom_tracking_0.5k"]},
    )
    offer = Offer(models=("openai-community/gpt2",), data=("counterfact", "wikitext"))
    offer.admit(in_spec(asked))
    offer.admit(in_options(built("generation", {"judge": "openai-community/gpt2"})))
    for own in (spec(), spec(model="smollm2"), spec(facts={"source": "pocket"}), spec(measure={"texts": "statements"})):
        Offer(models=("smollm2",)).admit(in_spec(own))


def test_a_message_does_not_tell_whether_something_is_there(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    said = []
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(SpecError) as told:
            Offer().admit([Named("model", Names.MODEL, str(place))])
        said.append(str(told.value).replace(str(place)[:40], ""))
    there, not_there = (text.partition("is not offered")[2] for text in said)
    assert there == not_there
