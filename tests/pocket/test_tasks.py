from collections import Counter
from random import Random

import pytest

from core.pocket.tasks import ITEMS, Task, arithmetic, held_out_items, read_tasks, sentiment, write_tasks


def test_items_are_distinct_and_sound(tasks):
    for task in tasks:
        items = held_out_items(task, seed=0)
        assert len({item.prompt for item in items}) == len(items) == ITEMS
        for item in items:
            assert item.answer in item.choices
            assert len(set(item.choices)) == len(item.choices) >= 2
            assert 1 / len(item.choices) <= task.chance


def test_guessing_gives_chance(tasks):
    """Neither a label nor a position is better than chance by more than the items allow."""
    for task in tasks:
        items = held_out_items(task, seed=0)
        positions = Counter(item.choices.index(item.answer) for item in items)
        assert max(positions.values()) / len(items) <= task.chance + 0.01, task.name
        if task.chance >= 1 / 3:
            assert max(Counter(item.answer for item in items).values()) / len(items) <= task.chance + 0.01, task.name


def test_arithmetic_is_right():
    for seed in range(200):
        example = arithmetic(Random(seed))
        first, word, second, _ = example.prompt.split(": ")[1].split()
        assert int(example.answer) == (int(first) + int(second) if word == "plus" else int(first) - int(second))


def test_knowledge_asks_reserved_facts_only(world, tasks):
    task = next(task for task in tasks if task.name == "knowledge")
    said = {
        (template.format(fact.subject), fact.object)
        for fact in world.facts
        if fact.reserved
        for template in world.relations[fact.relation].trained_templates(fact)
    }
    assert {(item.prompt, item.answer) for item in held_out_items(task, seed=0)} <= said


def test_tasks_survive_the_disk(tasks, tmp_path):
    write_tasks(tasks, tmp_path, seed=1)
    read = read_tasks(tmp_path)
    assert list(read) == [task.name for task in tasks]
    for task in tasks:
        for item, example in zip(read[task.name], held_out_items(task, seed=1), strict=True):
            assert item["prompt"] == example.prompt
            assert item["choices"][item["answer"]] == example.answer


def test_a_task_with_too_few_prompts_is_refused():
    task = Task(name="one", description="", chance=0.5, draw=lambda _: sentiment(Random(0)), practice=1.0)
    with pytest.raises(ValueError, match="fewer than"):
        held_out_items(task, seed=0)
