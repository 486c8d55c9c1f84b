"""Downstream tasks through lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness).

Task objects and their requests are built once per run; an evaluation only rates the requests again, by the worn model,
and lets the tasks judge the answers. Nothing is downloaded or written for local tasks: a folder of `<name>.jsonl` files
with rows {"prompt", "choices", "answer": index}, prompt and choice joined by one space, or in the form of a paper
(`core.measures.outside.task_forms`); and the lab's own tasks in plain English (`core.measures.outside.english`).
"""

from __future__ import annotations

import json
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.editing.lane.session import model_info
from core.editing.settings.defaults import is_pocket
from core.errors import LONGEST_SHOWN, UserError
from core.measures.outside import english
from core.measures.outside.harness import Harness, HarnessModel, load_harness, quiet
from core.measures.outside.task_files import task_rows
from core.measures.outside.task_forms import FORMS, Form
from core.models.chat import Frame
from core.names import is_path

if TYPE_CHECKING:
    from core.models.language_model import LanguageModel

STANDARD = ("sst2", "mrpc", "cola", "rte", "mnli", "mmlu")  # what the field asks after edits; all zero-shot
CALLED = {  # what papers call tasks, and the harness's names
    "sst-2": "sst2",
    "nli": "mnli",
    "arc-c": "arc_challenge",
    "arc-e": "arc_easy",
    "gpqa": "gpqa_main_zeroshot",
    "mmlu-pro": "mmlu_pro",
    "nq": "nq_open",
}
SHARES = ("acc", "exact_match", "em", "f1", "rouge")  # metrics from 0 to 1, the preferred first
METRICS = {  # as people call them; one that is not among them is called by its own name
    "acc": "accuracy",
    "exact_match": "exact match",
    "em": "exact match",
    "f1": "F1",
    "rouge": "mean of ROUGE-1, -2 and -L",
    "mcc": "Matthews correlation, −1 to 1",
}
CLOSED_BOOK = (
    "nq is nq_open: the question alone, without a passage. MOSE gives the passage: name a folder with a file of rows"
    ' {"passage", "question", "answers"}, such as ./mine with mose_nq.jsonl in it.'
)


@dataclass(frozen=True)
class Part:
    """One task of the harness, and the name of the column that it counts toward."""

    column: str
    task: Any
    docs: list[tuple[int, Any]]
    metric: str


@dataclass(frozen=True)
class Tasks:
    """Tasks that can be evaluated repeatedly. `info` describes, per column, how its number is computed."""

    model: HarnessModel
    parts: list[Part]
    info: dict[str, dict[str, Any]]
    harness_version: str
    notes: list[str] = field(default_factory=list)

    @property
    def remarks(self) -> list[str]:
        """Remarks on the tasks' numbers: their units if not all are accuracies, the tasks in the mean, and the chat
        template."""
        units: dict[str, list[str]] = defaultdict(list)
        for column, about in self.info.items():
            units[about["called"]].append(column)
        lines = list(self.notes)
        if set(units) - {METRICS["acc"]}:
            inside = [column for column, about in self.info.items() if about["in_mean"]]
            outside = [column for column in self.info if column not in inside]
            by_unit = "; ".join(f"{', '.join(columns)} in {unit}" for unit, columns in units.items())
            lines.append(
                f"Tasks: {by_unit}. The mean is over {', '.join(inside) or 'none of them'}"
                + (f"; {', '.join(outside)} cannot be averaged with shares and stands by itself." if outside else ".")
            )
        if any(about["chat"] for about in self.info.values()):
            lines.append(
                "Tasks are asked as a user's message in the chat template; answers begin the assistant's turn."
            )
        return lines

    @classmethod
    def build(
        cls,
        lm: LanguageModel,
        names: Sequence[str],
        limit: int | None = 40,
        seed: int = 0,
        heartbeat: Callable[[], None] | None = None,
    ) -> Tasks:
        """Tasks by name: a folder of JSONL tasks, "english" (the lab's own), "standard" (SST-2, MRPC, CoLA, RTE, MNLI,
        MMLU), or tasks of the harness (its tasks and groups, YAML files or folders of them; their data are where they
        say, and cached by `datasets`).

        `limit` items of each name are drawn with `seed`, of a group over all its members; the same ones are used every
        time. Tasks that do not ask for examples get none (`shots` in `info`). Raises `UserError` for unknown names and
        for tasks whose data cannot be loaded.
        """
        harness = load_harness()
        parts, info, chat = [], {}, lm.frame != Frame()
        for name in _spelled_out(names):
            if heartbeat is not None:
                heartbeat()
            local = is_path(name) and Path(name).is_dir() and sorted(Path(name).glob("*.jsonl"))
            if local:
                named = [(f.stem, _local_task(harness, f)) for f in local]
            elif name == english.NAME:
                named = [(task, _choice_task(harness, task, english.items(task))) for task in english.TASKS]
            elif name in FORMS:
                named = [(name, _form_task(harness, name, FORMS[name]))]
            else:
                named = _known_tasks(harness, name)
            chances = _chances(Path(name)) if local else {}
            for column, tasks in _by_column(named).items():
                drawn = draw([len(task.eval_docs) for task in tasks], limit, f"{seed} {column}")
                made = [_part(column, task, items, seed) for task, items in zip(tasks, drawn, strict=True) if items]
                parts += made
                info[column] = {
                    "items": sum(map(len, drawn)),
                    "of": sum(len(task.eval_docs) for task in tasks),
                    "metric": made[0].metric,
                    "in_mean": made[0].metric in SHARES,
                    "version": made[0].task.VERSION,
                    "shots": made[0].task.get_config("num_fewshot"),
                    "chance": chances.get(column, guessing(made)),
                    "called": METRICS.get(made[0].metric, made[0].metric),
                    "chat": chat,
                }
        lowered = {name.lower() for name in names}
        return cls(HarnessModel(lm), parts, info, harness.version, [CLOSED_BOOK] if "nq" in lowered else [])

    @property
    def prompts(self) -> list[str]:
        """The text before the answer of each item, without trailing spaces; items without such text are left out."""
        texts: dict[tuple[int, int], str] = {}
        for place, part in enumerate(self.parts):
            for request in part.task.instances:
                texts.setdefault((place, request.doc_id), str(request.args[0]).rstrip())
        return [text for text in texts.values() if text]

    def evaluate(self, heartbeat: Callable[[], None] | None = None) -> dict[str, float]:
        """{column: score} of the model with its present weights; a group of tasks is the mean over its members'
        items."""
        self.model.heartbeat = heartbeat
        requests: dict[str, list[Any]] = defaultdict(list)
        for part in self.parts:
            for request in part.task.instances:
                request.resps, request.filtered_resps = [], {}
                requests[request.request_type].extend([request] * request.repeats)
        for kind, batch in requests.items():
            for request, response in zip(batch, getattr(self.model, kind)(batch), strict=True):
                request.resps.append(response)
        scores: dict[str, list[tuple[float, int]]] = defaultdict(list)
        with quiet():
            for part in self.parts:
                scores[part.column].append((_judge(part), len(part.docs)))
        return {column: sum(s * n for s, n in parts) / sum(n for _, n in parts) for column, parts in scores.items()}

    def mean(self, scores: Mapping[str, float]) -> float | None:
        """The mean over tasks whose metric is a share; None without any."""
        values = [value for column, value in scores.items() if self.info[column]["in_mean"]]
        return sum(values) / len(values) if values else None


def own_tasks(lm: LanguageModel, assets: Path) -> list[str]:
    """The names of the tasks that a model brings: those of its world for the pocket model, for others the ones in plain
    English. Raises `UserError` where the world's were not made."""
    if not is_pocket(model_info(lm)):
        return [english.NAME]
    folder = assets / "pocket" / "tasks"
    if not folder.is_dir():
        raise UserError(f"{folder}: missing; make it with: python -m core pocket build, or set measure.tasks: false")
    return [str(folder)]


def own_chances(lm: LanguageModel, assets: Path | None) -> Mapping[str, float]:
    """The level of guessing by task, of the tasks that a model brings."""
    if not is_pocket(model_info(lm)):
        return {task: english.chance(task) for task in english.TASKS}
    return _chances(assets / "pocket" / "tasks") if assets else {}


def choice_rows(name: str) -> list[list[dict[str, Any]]]:
    """The items of each task of this name, as far as they are multiple choice and lie in the lab or in a folder. Raises
    `UserError` for a damaged file."""
    if name == english.NAME:
        return [english.items(task) for task in english.TASKS]
    files = sorted(Path(name).glob("*.jsonl")) if is_path(name) and Path(name).is_dir() else []
    read = [task_rows(file) for file in files]
    return [rows for form, rows in read if form is None]


def guessing(parts: Sequence[Part]) -> float | None:
    """The chance level of these items: 1/choices, averaged. None if they are not multiple choice."""
    if any(part.metric != "acc" or part.task.OUTPUT_TYPE != "multiple_choice" for part in parts):
        return None
    shares = [1 / len(part.task.doc_to_choice(doc)) for part in parts for _, doc in part.docs]
    return sum(shares) / len(shares)


def _judge(part: Part) -> float:
    """The task's own metric over its answered requests (its first filter's)."""
    part.task.apply_filters()
    answered = defaultdict(list)
    for request in part.task.instances:
        answered[request.doc_id].append(request)
    values = []
    for doc_id, doc in part.docs:
        requests = sorted(answered[doc_id], key=lambda request: request.idx)
        first = next(iter(requests[0].filtered_resps))
        values.append(part.task.process_results(doc, [r.filtered_resps[first] for r in requests])[part.metric])
    return float(part.task.aggregation()[part.metric](values))


def draw(sizes: Sequence[int], limit: int | None, seed: str) -> list[list[int]]:
    """The items of tasks of these sizes: `limit` of all of them together (None: all), each with the same
    probability."""
    total = sum(sizes)
    chosen = range(total) if limit is None or limit >= total else random.Random(seed).sample(range(total), limit)
    drawn: list[list[int]] = [[] for _ in sizes]
    ends = list(accumulate(sizes))
    for item in sorted(chosen):
        task = bisect_right(ends, item)
        drawn[task].append(item - (ends[task] - sizes[task]))
    return drawn


def _spelled_out(names: Sequence[str]) -> list[str]:
    """The names as the harness writes them."""
    each = [single for name in names for single in (STANDARD if name == "standard" else (name,))]
    return list(
        dict.fromkeys(CALLED.get(name.lower(), name.lower() if name.lower() in STANDARD else name) for name in each)
    )


def _by_column(named: Sequence[tuple[str, Any]]) -> dict[str, list[Any]]:
    """The tasks that count toward each column, in the order of their coming."""
    columns: dict[str, list[Any]] = defaultdict(list)
    for column, task in named:
        columns[column].append(task)
    return columns


def _part(column: str, task: Any, chosen: list[int], seed: int) -> Part:
    """The task with its requests built for these items."""
    if task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=seed)
    with quiet():
        task.build_all_requests(samples=chosen)
        docs = list(task.doc_iterator(samples=chosen))
    metrics = list(task.aggregation())
    metric = next((name for name in SHARES if name in metrics), metrics[0])
    return Part(column, task, docs, metric)


def _form_task(harness: Harness, name: str, form: Form, rows: Any | None = None) -> Any:
    """A task in the form of a paper. Raises `UserError` if its data are not given and cannot be loaded."""
    if rows is None and form.data is None:
        raise UserError(
            f'task "{name}" ({form.source}): its data are not on the hub in this form; name a folder that holds'
            f" {name}.jsonl, with rows of {', '.join(form.fields)}"
        )
    try:
        with quiet():
            return harness.task(config=form.config(name, rows))
    except Exception as error:  # whatever the data's host or builder raises
        raise _cannot_be_had(name, error) from error


def _local_task(harness: Harness, file: Path) -> Any:
    """A task from a JSONL file, held in memory."""
    form, rows = task_rows(file)
    if form is not None:
        return _form_task(harness, file.stem, form, harness.dataset(rows))
    return _choice_task(harness, file.stem, rows)


def _choice_task(harness: Harness, name: str, rows: list[dict[str, Any]]) -> Any:
    """A multiple-choice task of these rows: the choice that is most likely after the prompt counts."""
    config = {
        "task": name,
        "custom_dataset": lambda **_: {"test": harness.dataset(rows)},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": lambda row: row["prompt"],
        "doc_to_choice": lambda row: row["choices"],
        "doc_to_target": lambda row: row["answer"],
        "target_delimiter": " ",
        "num_fewshot": 0,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    with quiet():
        return harness.task(config=config)


def _chances(folder: Path) -> Mapping[str, float]:
    """The chance level by task, from the folder's index.json if it has one."""
    index = folder / "index.json"
    if not index.exists():
        return {}
    return {name: entry["chance"] for name, entry in json.loads(index.read_text()).items() if "chance" in entry}


def _known_tasks(harness: Harness, name: str) -> list[tuple[str, Any]]:
    """Tasks that the harness knows under this name; a group's members all count toward its column."""
    path, local = Path(name), is_path(name)
    folder, file = local and path.is_dir(), local and path.is_file()
    manager = harness.manager(name if folder else None)
    names = manager.all_subtasks if folder else [name]
    if not names:
        raise UserError(f"{name}: no tasks; a task is a <name>.jsonl file, or a YAML file of lm-evaluation-harness")
    if not (folder or file) and name not in manager.all_tasks:
        meant = f' (the folder is given as "./{name}")' if not local and path.is_dir() else ""
        raise UserError(f'unknown task "{name}"{meant}: {_guess(name, [*manager.all_tasks, *FORMS])}')
    try:
        with quiet():
            tasks = manager.load(names)["tasks"]
    except Exception as error:  # whatever the data's host or builder raises
        raise _cannot_be_had(name, error) from error
    if any(getattr(task.config, "unsafe_code", False) for task in tasks.values()):
        raise UserError(f'task "{name}" runs programs that the model writes; the lab does not: take another task')
    return [(key if folder else path.stem if file else name, task) for key, task in tasks.items()]


def _cannot_be_had(name: str, error: Exception) -> UserError:
    reason = str(error).strip().splitlines()
    return UserError(
        f'task "{name}" cannot be loaded ({type(error).__name__}: {reason[0] if reason else ""}); '
        "its data is downloaded on first use: check the connection, or take it out of measure.tasks"
    )


def _guess(name: str, known: Sequence[str]) -> str:
    """The nearest names; the harness knows thousands, so not all of them."""
    close = get_close_matches(name[:LONGEST_SHOWN], known, n=1, cutoff=0.5)
    return (
        f'did you mean "{close[0]}"? ' if close else ""
    ) + "Give a folder of JSONL tasks, or a name from `lm-eval ls tasks`"
