import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from core.errors import UserError
from core.measures.outside.harness import Harness, load_harness
from core.measures.outside.tasks import STANDARD, Tasks, _known_tasks, draw
from tests.measures.test_session import edited

SAID = {"called": "accuracy", "chat": False}


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

    from core.measures.outside.harness import quiet

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
    about = {"metric": "acc", "in_mean": True, "version": 1.0, "shots": 0, "chance": 0.5} | SAID
    assert first.info["work"] == {"items": 3, "of": 8} | about
    assert first.harness_version.count(".") >= 1
    assert all(value * 3 == pytest.approx(round(value * 3)) for value in first.evaluate().values())


def test_generated_answers_and_whole_texts(lm):
    """The other two questions of the harness: greedy text up to a stop, log-probability of a text."""
    from types import SimpleNamespace

    from core.measures.outside.harness import HarnessModel

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
    from core.measures.outside import tasks

    monkeypatch.setattr(tasks, "load_harness", lambda: replace(load_harness(), manager=Manager))


def test_bad_tasks_are_named(lm, tmp_path, offline):
    with pytest.raises(UserError, match='unknown task "helaswag": did you mean "hellaswag"'):
        Tasks.build(lm, ["helaswag"])
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a", "choices": ["b"], "answer": 0}\n{"prompt": "a"}\n')
    with pytest.raises(UserError, match=r"mine.jsonl, line 2: a task row is"):
        Tasks.build(lm, [str(tmp_path)])
    for row, why in (
        ('{"prompt": "a", "choices": ["b"], "answer": 1}', "a field is missing, or of another kind"),
        ('{"prompt": "a", "choices": ["b"], "answer": -1}', "a field is missing, or of another kind"),
        ('{"prompt": "a", "choices": ["b"], "answer": 0, "answer": 0}', '"answer" is given twice'),
        ("[" * 9_999, "nested too deeply"),
        ("{", "not JSON"),
    ):
        (tmp_path / "mine.jsonl").write_text(row)
        with pytest.raises(UserError, match=f"line 1: a task row is .*{why}"):
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
    assert tasks.info["mine"] | {"of": 0} == {
        "items": 4,
        "of": 0,
        "metric": "acc",
        "in_mean": True,
        "version": 3.0,
        "shots": 0,
        "chance": 0.25,  # of four choices each
        **SAID,
    }
    with pytest.raises(UserError, match="no tasks; a task is"):
        Tasks.build(lm, [str(assets / "pocket" / "world")])


@pytest.fixture
def group(tmp_path):
    """Three YAML tasks of 4, 3 and 8 items with their data beside them; none names its shots."""
    sizes = {"first": 4, "second": 3, "third": 8}
    (tmp_path / "data.py").write_text(
        "from datasets import Dataset\n\n"
        "def rows(size, offset):\n"
        "    names = ['Ada', 'Tom', 'Lena', 'Bruno']\n"
        "    return [{'prompt': f'{names[i % 4]} {i + offset} is', 'choices': ['Rome', 'Paris'], 'answer': i % 2}\n"
        "            for i in range(size)]\n\n"
        + "".join(
            f"def {name}(**_):\n    return {{'test': Dataset.from_list(rows({size}, {10 * size}))}}\n\n"
            for name, size in sizes.items()
        )
    )
    for name in sizes:
        (tmp_path / f"{name}.yaml").write_text(
            f"task: {name}\ncustom_dataset: !function data.{name}\ntest_split: test\noutput_type: multiple_choice\n"
            "doc_to_text: '{{prompt}}'\ndoc_to_choice: choices\ndoc_to_target: answer\nmetadata:\n  version: 2.0\n"
            "metric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\n"
        )
    (tmp_path / "all.yaml").write_text(f"group: all\ntask: {list(sizes)}\n")
    return tmp_path


def test_a_group_is_drawn_and_averaged_as_one(lm, group, monkeypatch):
    from core.measures.outside import tasks as module

    harness = load_harness()
    manager = harness.manager(str(group))
    monkeypatch.setattr(module, "load_harness", lambda: replace(harness, manager=lambda _: manager))
    made = Tasks.build(lm, ["all"], limit=9, seed=3)
    about = {"metric": "acc", "in_mean": True, "version": 2.0, "shots": 0, "chance": 0.5} | SAID
    assert made.info == {"all": {"items": 9, "of": 15} | about}
    rows = [doc for part in made.parts for _, doc in part.docs]
    assert len({row["prompt"] for row in rows}) == 9
    hits = []
    for row in rows:
        right, wrong = (total(lm, row["prompt"], row["choices"][i]) for i in (row["answer"], 1 - row["answer"]))
        hits.append(float(right > wrong))
    assert made.evaluate() == {"all": pytest.approx(sum(hits) / 9)}
    again = Tasks.build(lm, ["all"], limit=9, seed=3)
    assert [doc for part in again.parts for _, doc in part.docs] == rows
    one = Tasks.build(lm, ["all"], limit=1)
    assert one.info["all"]["items"] == len(one.parts) == 1


def test_draws_are_of_all_items_together():
    assert draw([2, 0, 3], None, "x") == draw([2, 0, 3], 5, "x") == [[0, 1], [], [0, 1, 2]]
    for seed in range(20):
        drawn = draw([40, 60], 30, str(seed))
        assert sum(map(len, drawn)) == 30
        assert all(each == sorted(set(each)) for each in drawn)
        assert max(drawn[0]) < 40
        assert max(drawn[1]) < 60
    counts = [sum(len(draw([40, 60], 30, f"{i}")[0]) for i in range(400)) / 400]
    assert counts[0] == pytest.approx(12, abs=0.5)  # standard error .11
    assert draw([40, 60], 30, "1") == draw([40, 60], 30, "1") != draw([40, 60], 30, "2")


def test_names_of_papers(lm, monkeypatch):
    from core.measures.outside import tasks as module

    asked = []
    monkeypatch.setattr(module, "_known_tasks", lambda _, name: asked.append(name) or [])
    Tasks.build(lm, ["standard", "SST-2", "ARC-c", "GSM8K", "MMLU"])
    assert asked == ["sst2", "mrpc", "cola", "rte", "mnli", "mmlu", "arc_challenge", "GSM8K"]


def test_the_harness_has_the_standard_tasks():
    """Its files name them; reading its whole index takes long."""
    import lm_eval

    folder = Path(lm_eval.__file__).parent / "tasks"
    files = [*folder.glob("glue/*/*.yaml"), *folder.glob("mmlu/default/_mmlu.yaml"), *folder.glob("arc/*.yaml")]
    files += [*folder.glob("nq_open/*.yaml"), *folder.glob("mmlu_pro/_*.yaml"), *folder.glob("gpqa/zeroshot/*.yaml")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    for name in (*STANDARD, "arc_challenge", "arc_easy", "nq_open", "mmlu_pro"):
        assert re.search(rf"^(task|group): {name}$", text, re.MULTILINE), name
    assert (folder / "gpqa" / "zeroshot" / "gpqa_main_zeroshot.yaml").exists()


def test_answers_are_the_same_alone_and_together(lm):
    from types import SimpleNamespace

    from core.measures.outside.harness import HarnessModel

    texts = ["The capital of France is", "Ada", "Tom Ash works as a painter in Lyon and", "I like you. " * 60]
    settings = [{"max_gen_toks": 5}, {"max_gen_toks": 3, "until": "a"}, {"max_gen_toks": 5}, {"max_gen_toks": 5}]
    requests = [SimpleNamespace(args=pair) for pair in zip(texts, settings, strict=True)]
    beats = []
    model = HarnessModel(lm, lambda: beats.append(1))
    together = model.generate_until(requests)
    assert together == [HarnessModel(lm).generate_until([request])[0] for request in requests]
    assert len(beats) >= 2


class Index:
    """A harness that knows two tasks, and remembers which folders it was asked to read."""

    all_tasks = ("hellaswag", "humaneval")

    def __init__(self):
        self.read = []

    @property
    def harness(self):
        return Harness("0", task=print, dataset=print, manager=self.manager)

    def manager(self, folder):
        self.read.append(folder)
        return self

    def load(self, names):
        return {
            "tasks": {name: SimpleNamespace(config=SimpleNamespace(unsafe_code=name == "humaneval")) for name in names}
        }


def test_a_name_without_a_slash_is_the_harness_s_and_never_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "evil.yaml").write_text("task: evil\ndoc_to_text: '{{ cycler.__init__.__globals__.os }}'\n")
    index = Index()
    with pytest.raises(UserError, match=r'unknown task "evil" \(the folder is given as "./evil"\)'):
        _known_tasks(index.harness, "evil")
    assert index.read == [None]


def test_a_task_that_runs_what_the_model_writes_is_refused():
    assert [name for name, _ in _known_tasks(Index().harness, "hellaswag")] == ["hellaswag"]
    with pytest.raises(UserError, match="runs programs that the model writes"):
        _known_tasks(Index().harness, "humaneval")


def test_a_misspelt_task_is_told_in_a_line_however_many_there_are():
    index = Index()
    index.all_tasks = [f"task_{number}" for number in range(14_000)]
    with pytest.raises(UserError) as told:
        _known_tasks(index.harness, "zzzz")
    assert len(str(told.value)) < 200
