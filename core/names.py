"""What a string in a spec or an option can name. Each field declares it, so that one check (`core.runs.spec.admission`)
covers all fields, including those that are added later."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath

OWN_DATA = ("pocket", "everyday", "statements")  # the worlds of the lab, and the facts of the run itself
SHIPPED = ("pocket", "smollm2")  # models of the lab: these names are never looked up elsewhere
WORLDS = {"pocket": "pocket", "smollm2": "everyday"}  # the source of the facts that such a model knows


class Names(StrEnum):
    """The kind of thing that a string names. A field of a spec is `Annotated[str, Names.MODEL]`, an option
    `param(…, names=Names.MODEL)`; one that has its `choices` needs no kind."""

    MODEL = "model"  # one of `SHIPPED`, a folder, or a hub id
    DATA = "data"  # facts or texts: one of `OWN_DATA`, a dataset by its name, a file, a folder, or a hub id
    TASKS = "tasks"  # tasks of the harness by name, or a file or folder of them (its templates are programs)
    TEXT = "text"  # never opened and never executed: prompts, titles, labels, choices within what is named elsewhere


def is_path(task: str) -> bool:
    """Whether the name of a task is a path to a file or folder of tasks. Other names are the harness's own.

    >>> is_path("arc_easy"), is_path("longproc_0.5k"), is_path("./arc_easy"), is_path("mine.yaml")
    (False, False, True, True)
    """
    suffix = PurePath(task).suffix.lower()
    return "/" in task or "\\" in task or task.startswith((".", "~")) or suffix in (".yaml", ".yml", ".json", ".jsonl")
