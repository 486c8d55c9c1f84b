import json
import math
from dataclasses import replace

import pytest
import torch

from core.errors import UserError
from core.measures.harness import load_harness
from core.measures.tasks import Tasks
from tests.measures.test_session import edited


def total(lm, prompt, choice):
    """Summed log-probability of a choice after its prompt, from one plain forward pass."""
    head = lm.tokenizer(prompt)["input_ids"]
    whole = lm.tokenizer(f"{prompt} {choice}")["input_ids"]
    with torch.no_grad():
        logs = lm.model(torch.tensor([whole])).logits[0].double().log_softmax(1)
    return sum(float(logs[i - 1, whole[i]]) for i in range(len(head), len(whole)))


def accuracy(lm, file):
    hits = []
    for row in map(json.loads, file.read_text().splitlines()):
        totals = [total(lm, row["prompt"], choice) for choice in row["choices"]]
        hits.append(totals.index(max(totals)) == row["answer"])
    return sum(hits) / len(hits)


@pytest.mark.parametrize("family", ["lm", "lm32"])
def test_equals_direct_log_likelihoods(family, request, assets):
    lm = request.getfixturevalue(family)
    folder = assets / "pocket" / "tasks"
    tasks = Tasks.build(lm, [str(folder)], limit=None)
    expected = {name: accuracy(lm, folder / f"{name}.jsonl") for name in ("capitals", "work")}
    assert tasks.evaluate() == expected
    with lm.worn(edited(lm, 1.0)):
        worn = {name: accuracy(lm, folder / f"{name}.jsonl") for name in expected}
        assert tasks.evaluate() == worn
    assert tasks.evaluate() == expected
    rated = tasks.model.loglikelihood(tasks.parts[0].task.instances)
    for (logprob, _), request_ in zip(rated, tasks.parts[0].task.instances, strict=True):
        prompt, choice = request_.args
        assert choice.startswith(" ")
        assert logprob == pytest.approx(total(lm, prompt, choice[1:]), rel=1e-4 if family == "lm32" else 1e-6)


def test_equals_the_harness_with_its_own_model(lm, assets):
    """The same task objects through lm-evaluation-harness's evaluator and its wrapper of Hugging Face models."""
    from lm_eval import evaluate
    from lm_eval.models.huggingface import HFLM

    from core.measures.harness import quiet

    tasks = Tasks.build(lm, [str(assets / "pocket" / "tasks")], limit=None)
    ours = tasks.evaluate()
    with quiet():
        theirs = evaluate(
            HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=4),
            {part.column: part.task for part in tasks.parts},
            bootstrap_iters=0,
            log_samples=False,
        )
    assert ours == {name: theirs["results"][name]["acc,none"] for name in ours}


def test_a_fixed_draw_of_items(lm, assets):
    folder = str(assets / "pocket" / "tasks")
    first, again, other = (Tasks.build(lm, [folder], 3, seed) for seed in (0, 0, 1))
    drawn = [[doc["prompt"] for _, doc in tasks.parts[1].docs] for tasks in (first, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 3
    assert first.info["work"] == {"items": 3, "of": 8, "metric": "acc", "version": 1.0, "chance": 0.5}
    assert first.harness_version.count(".") >= 1
    assert all(value * 3 == pytest.approx(round(value * 3)) for value in first.evaluate().values())


def test_generated_answers_and_whole_texts(lm):
    """The other two questions of the harness: greedy text up to a stop, log-probability of a text."""
    from types import SimpleNamespace

    from core.measures.harness import HarnessModel

    model = HarnessModel(lm)
    text = "The capital of France is Paris."
    ids = lm.encode(text)  # BOS first
    with torch.no_grad():
        logs = lm.model(torch.tensor([ids])).logits[0].double().log_softmax(1)
        grown = list(ids)
        for _ in range(5):
            grown.append(int(lm.model(torch.tensor([grown])).logits[0, -1].argmax()))
    whole = sum(float(logs[i - 1, ids[i]]) for i in range(1, len(ids)))
    assert model.loglikelihood_rolling([SimpleNamespace(args=(text,))]) == [pytest.approx(whole)]
    assert model.loglikelihood([SimpleNamespace(args=("", text))])[0][0] == pytest.approx(whole)
    said = lm.tokenizer.decode(grown[len(ids) :], skip_special_tokens=True)
    request = SimpleNamespace(args=(text, {"max_gen_toks": 5}))
    assert model.generate_until([request]) == [said]
    stop = said[2]
    request = SimpleNamespace(args=(text, {"max_gen_toks": 5, "until": [stop]}))
    assert model.generate_until([request]) == [said.split(stop)[0]]
    long = "Bruno Keller " * 60  # longer than the model reads
    assert math.isfinite(model.loglikelihood_rolling([SimpleNamespace(args=(long,))])[0])
    assert math.isfinite(model.loglikelihood([SimpleNamespace(args=(long, " is a baker"))])[0][0])


def test_nothing_is_written_or_downloaded(lm, assets, tmp_path, monkeypatch):
    import datasets

    def refuse(*_, **__):
        raise AssertionError("asked for a data set")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    Tasks.build(lm, [str(assets / "pocket" / "tasks")], 2).evaluate()
    assert list(tmp_path.iterdir()) == []


class Manager:
    """Stands for the harness's index of thousands of tasks, which takes long to read, and has no connection."""

    all_tasks = ("hellaswag", "arc_easy")

    def __init__(self, folder):
        self.all_subtasks = ()

    def load(self, names):
        raise ConnectionError("no route to host")


@pytest.fixture
def offline(monkeypatch):
    from core.measures import tasks

    monkeypatch.setattr(tasks, "load_harness", lambda: replace(load_harness(), manager=Manager))


def test_bad_tasks_are_named(lm, tmp_path, offline):
    with pytest.raises(UserError, match='unknown task "helaswag": did you mean "hellaswag"'):
        Tasks.build(lm, ["helaswag"])
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a", "choices": ["b"], "answer": 0}\n{"prompt": "a"}\n')
    with pytest.raises(UserError, match=r"mine.jsonl, line 2: a task row is"):
        Tasks.build(lm, [str(tmp_path)])
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a", "choices": ["b"], "answer": 1}')
    with pytest.raises(UserError, match="line 1"):
        Tasks.build(lm, [str(tmp_path)])
    (tmp_path / "mine.jsonl").write_text("\n")
    with pytest.raises(UserError, match="no rows"):
        Tasks.build(lm, [str(tmp_path)])


def test_a_task_whose_data_cannot_be_had(lm, offline):
    with pytest.raises(UserError, match=r'"hellaswag" cannot be loaded \(ConnectionError: no route to host\)'):
        Tasks.build(lm, ["hellaswag"])


def test_folders_of_harness_tasks(lm, tmp_path, assets):
    """A YAML task of one's own, with its data from a function beside it; a group is the mean of its tasks."""
    rows = [json.loads(line) for line in (assets / "pocket" / "tasks" / "capitals.jsonl").read_text().splitlines()]
    (tmp_path / "data.py").write_text(
        f"from datasets import Dataset\ndef rows(**_):\n    return {{'test': Dataset.from_list({rows!r})}}\n"
    )
    (tmp_path / "mine.yaml").write_text(
        "task: mine\ncustom_dataset: !function data.rows\ntest_split: test\noutput_type: multiple_choice\n"
        "doc_to_text: '{{prompt}}'\ndoc_to_choice: choices\ndoc_to_target: answer\nmetadata:\n  version: 3.0\n"
        "metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n"
    )
    tasks = Tasks.build(lm, [str(tmp_path)], limit=None)
    expected = accuracy(lm, assets / "pocket" / "tasks" / "capitals.jsonl")
    assert tasks.evaluate() == {"mine": expected}
    assert tasks.mean({"mine": expected}) == expected
    assert tasks.info["mine"] | {"of": 0} == {"items": 4, "of": 0, "metric": "acc", "version": 3.0, "chance": None}
    with pytest.raises(UserError, match="no tasks; a task is"):
        Tasks.build(lm, [str(assets / "pocket" / "world")])
