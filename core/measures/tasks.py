"""Downstream tasks through lm-evaluation-harness (https://github.com/EleutherAI/lm-evaluation-harness).

Task objects and their requests are built once per run; an evaluation only rates the requests again, by the worn model,
and lets the tasks judge the answers. Nothing is downloaded or written for local tasks: a folder of `<name>.jsonl` files
with rows {"prompt", "choices", "answer": index}, prompt and choice joined by one space.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import UserError, nearest
from core.measures.harness import Harness, HarnessModel, load_harness, quiet

if TYPE_CHECKING:
    from core.models.language_model import LanguageModel

SHARES = ("acc", "exact_match", "em", "f1")  # metrics from 0 to 1, the preferred first; others stay out of the mean


@dataclass(frozen=True)
class Part:
    """One task of the harness, and the name of the column that it counts toward."""

    column: str
    task: Any
    docs: list[tuple[int, Any]]
    metric: str


@dataclass(frozen=True)
class Tasks:
    """Tasks ready to be asked again and again. `info` says, per column, what stands behind its number."""

    model: HarnessModel
    parts: list[Part]
    info: dict[str, dict[str, Any]]
    harness_version: str

    @classmethod
    def build(cls, lm: LanguageModel, names: Sequence[str], limit: int | None = 40, seed: int = 0) -> Tasks:
        """Tasks by name: a folder of JSONL tasks, or what the harness knows (its tasks and groups, YAML files or
        folders of them; the data of these is wherever they say, and cached by `datasets`).

        `limit` items of each task are drawn with `seed`; the same ones are asked every time. Raises `UserError` for
        unknown names and for tasks whose data cannot be had.
        """
        harness = load_harness()
        parts, info = [], {}
        for name in names:
            local = Path(name).is_dir() and sorted(Path(name).glob("*.jsonl"))
            found = [(f.stem, _local_task(harness, f)) for f in local] if local else _known_tasks(harness, name)
            chances = _chances(Path(name)) if local else {}
            for column, task in found:
                part = _part(column, task, limit, seed)
                parts.append(part)
                entry = info.setdefault(column, {"items": 0, "of": 0})
                entry["items"] += len(part.docs)
                entry["of"] += len(task.eval_docs)
                entry |= {"metric": part.metric, "version": task.VERSION, "chance": chances.get(column)}
        return cls(HarnessModel(lm), parts, info, harness.version)

    def evaluate(self, heartbeat: Callable[[], None] | None = None) -> dict[str, float]:
        """{column: score} of the model as it is now worn; a group of tasks is the mean of its members."""
        self.model.heartbeat = heartbeat
        requests: dict[str, list[Any]] = defaultdict(list)
        for part in self.parts:
            for request in part.task.instances:
                request.resps, request.filtered_resps = [], {}
                requests[request.request_type].extend([request] * request.repeats)
        for kind, batch in requests.items():
            for request, response in zip(batch, getattr(self.model, kind)(batch), strict=True):
                request.resps.append(response)
        scores: dict[str, list[float]] = defaultdict(list)
        with quiet():
            for part in self.parts:
                scores[part.column].append(_judge(part))
        return {column: sum(values) / len(values) for column, values in scores.items()}

    def mean(self, found: Mapping[str, float]) -> float | None:
        """The mean over tasks whose metric is a share; None without any."""
        values = [value for column, value in found.items() if self.info[column]["metric"] in SHARES]
        return sum(values) / len(values) if values else None


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


def _part(column: str, task: Any, limit: int | None, seed: int) -> Part:
    """The task with its requests built for a fixed draw of items."""
    total = len(task.eval_docs)
    chosen = None
    if limit is not None and limit < total:
        chosen = sorted(random.Random(f"{seed} {column}").sample(range(total), limit))
    if task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=seed)
    with quiet():
        task.build_all_requests(samples=chosen)
        docs = list(task.doc_iterator(samples=chosen))
    metrics = list(task.aggregation())
    metric = next((name for name in SHARES if name in metrics), metrics[0])
    return Part(column, task, docs, metric)


def _local_task(harness: Harness, file: Path) -> Any:
    """A multiple-choice task from a JSONL file, held in memory."""
    rows = _rows(file)
    config = {
        "task": file.stem,
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


def _rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL task; `UserError` names the line that is wrong."""
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append({"prompt": row["prompt"], "choices": list(row["choices"]), "answer": int(row["answer"])})
            row["choices"][rows[-1]["answer"]]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise UserError(
                f'{file}, line {number}: a task row is {{"prompt": ..., "choices": [...], "answer": index}} ({error})'
            ) from None
    if not rows:
        raise UserError(f"{file}: no rows; a task needs at least one")
    return rows


def _chances(folder: Path) -> Mapping[str, float]:
    """What guessing gets right, by task, from the folder's index.json if it has one."""
    index = folder / "index.json"
    if not index.exists():
        return {}
    return {name: entry["chance"] for name, entry in json.loads(index.read_text()).items() if "chance" in entry}


def _known_tasks(harness: Harness, name: str) -> list[tuple[str, Any]]:
    """Tasks that the harness knows under this name; a group's members all count toward its column."""
    path = Path(name)
    manager = harness.manager(name if path.is_dir() else None)
    names = manager.all_subtasks if path.is_dir() else [name]
    if not names:
        raise UserError(f"{name}: no tasks; a task is a <name>.jsonl file, or a YAML file of lm-evaluation-harness")
    if not path.exists() and name not in manager.all_tasks:
        raise UserError(f'unknown task "{name}": {_guess(name, manager.all_tasks)}')
    try:
        with quiet():
            tasks = manager.load(names)["tasks"]
    except Exception as error:  # whatever the data's host or builder raises
        reason = str(error).strip().splitlines()
        raise UserError(
            f'task "{name}" cannot be loaded ({type(error).__name__}: {reason[0] if reason else ""}); '
            "its data is downloaded on first use: check the connection, or take it out of measure.tasks"
        ) from error
    return [(key if path.is_dir() else path.stem if path.is_file() else name, task) for key, task in tasks.items()]


def _guess(name: str, known: Sequence[str]) -> str:
    """The nearest names; the harness knows thousands, so not all of them."""
    return nearest(name, known).split(" Known:")[0] + " (a folder of JSONL tasks, or a name from `lm-eval ls tasks`)"
