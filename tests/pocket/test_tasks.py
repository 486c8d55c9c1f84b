from collections import Counter
from random import Random

import pytest

from core.pocket.dictionary import COUNTED, GOOD
from core.pocket.people import FIRST_NAMES
from core.pocket.tasks import ITEMS, Task, held_out_items, read_tasks, write_tasks


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


@pytest.fixture(scope="module")
def meaning(world):
    return {word.text: word.meaning for word in world.dictionary.words}


def drawn(tasks, name: str, count: int = 300):
    task = next(task for task in tasks if task.name == name)
    return [task.draw(Random(seed)) for seed in range(count)]


def test_labels_follow_from_what_the_words_mean(tasks, meaning):
    for e in drawn(tasks, "sentiment"):
        assert {meaning[word] in GOOD for word in e.words} == {e.answer == "positive"}
    for e in drawn(tasks, "acceptability"):
        assert (meaning[e.words[0]] in COUNTED) == (e.answer == "many")
    for name in ("paraphrase", "entailment"):
        assert all(meaning[e.words[0]] == e.answer for e in drawn(tasks, name))
    for e in drawn(tasks, "reading"):
        asked = e.prompt.split("Question: at ")[1].split()[0]
        (noun,) = [word for word in e.words if f"at {asked} {word}" in e.prompt]
        assert meaning[noun] == e.answer
    for e in drawn(tasks, "arithmetic"):
        sign, shift = e.prompt.split()[3:5]
        assert int(e.answer) == int(meaning[e.words[0]]) + int(shift) * (1 if sign == "plus" else -1)
    for e in drawn(tasks, "pattern"):
        shown = [meaning[word] for word in e.words]
        assert shown[2:] == shown[:-2]
        assert e.answer == shown[-2] != shown[-1]


def test_carriers_do_not_tell_the_answer(tasks, meaning):
    """With another word of its kind in each word's place, every prompt has other answers: carriers fix none."""
    for name in ("sentiment", "acceptability", "paraphrase", "entailment", "reading", "arithmetic", "pattern"):
        answers: dict[str, set[str]] = {}
        for e in drawn(tasks, name, 2_000):
            taken = {*e.words, *FIRST_NAMES}
            carrier = " ".join("_" if part.strip(",.:") in taken else part for part in e.prompt.split())
            answers.setdefault(carrier, set()).add(e.answer)
        assert min(map(len, answers.values())) >= 2, name


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


def test_a_task_with_too_few_prompts_is_refused(tasks):
    task = Task(name="one", description="", chance=0.5, draw=lambda _: tasks[0].draw(Random(0)), practice=1.0)
    with pytest.raises(ValueError, match="fewer than"):
        held_out_items(task, seed=0)
