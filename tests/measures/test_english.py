"""The tasks in plain English: items, their level of guessing, and how an unedited model answers them."""

from collections import Counter

import pytest

from core.facts.readers.everyday import EverydayWorld
from core.measures.outside import english
from core.measures.outside.english.items import ITEMS, distinct, item
from core.measures.outside.english.knowledge import OF_WORDS
from core.measures.outside.tasks import Tasks, choice_rows, own_chances
from core.models.loading import load_model

ABOVE_CHANCE = 0.15


@pytest.mark.parametrize("task", english.TASKS)
def test_items_are_distinct_and_of_one_kind(task):
    items = english.TASKS[task]()
    assert items == english.TASKS[task]()  # the same ones every time
    assert len(items) == ITEMS
    assert len({(row["prompt"], *sorted(row["choices"])) for row in items}) == ITEMS
    for row in items:
        assert row["prompt"] == row["prompt"].strip() != ""
        assert len(set(row["choices"])) == len(row["choices"])
        assert all(choice == choice.strip() != "" for choice in row["choices"])
    places = Counter(row["answer"] for row in items)
    even = ITEMS * english.chance(task)
    assert all(0.7 * even < count < 1.3 * even for count in places.values())  # the place says nothing


@pytest.mark.parametrize("task", ["sentiment", "entailment", "reading"])
def test_no_answer_is_right_more_often_than_others(task):
    """Whoever knew how often each word is right, here, and nothing else would be far from knowing the answers."""
    right, offered = Counter(), Counter()
    for row in english.items(task):
        offered.update(row["choices"])
        right[row["choices"][row["answer"]]] += 1
    guessed = sum(
        max(row["choices"], key=lambda choice: right[choice] / offered[choice]) == row["choices"][row["answer"]]
        for row in english.items(task)
    )
    assert guessed / ITEMS < english.chance(task) + 0.25


def test_knowledge_is_never_edited():
    world = EverydayWorld.read()
    asked = english.items("knowledge")
    edited = {fact.subject for fact in world.sample(len(world.sample_of("known")))}
    reserved = {row["subject"] for row in world.facts if row["reserved"]}
    assert not edited & reserved
    true = {
        (template.replace("{}", row["subject"], 1), row["object"])
        for row in world.facts
        if row["reserved"] and row["relation"] not in OF_WORDS
        for template in world.relations[row["relation"]]["templates"]
    }
    assert all((row["prompt"], row["choices"][row["answer"]]) in true for row in asked)


def test_too_few_different_items_are_told():
    with pytest.raises(ValueError, match="few: there are only 2 different items"):
        distinct(lambda rng, number: item(rng, rng.choice("ab"), "yes", ["no"]), "few")


def test_they_are_tasks_of_the_harness(lm):
    tasks = Tasks.build(lm, [english.NAME], limit=3)
    assert list(tasks.info) == list(english.TASKS)
    for name, about in tasks.info.items():
        assert (about["items"], about["of"], about["shots"], about["called"]) == (3, ITEMS, 0, "accuracy")
        assert about["chance"] == pytest.approx(own_chances(lm, None)[name], abs=0.01)
    scores = tasks.evaluate()
    assert all(score in (0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1) for score in scores.values())
    assert choice_rows(english.NAME) == [english.items(task) for task in english.TASKS]


def test_a_pretrained_model_is_above_chance(smollm2):
    """A few items of two short tasks; all of all tasks were asked when they were made."""
    tasks = Tasks.build(load_model(smollm2, device="cpu"), [english.NAME], limit=25)
    chosen = [part for part in tasks.parts if part.column in ("grammar", "sentiment")]
    scores = Tasks(tasks.model, chosen, tasks.info, tasks.harness_version).evaluate()
    assert set(scores) == {"grammar", "sentiment"}
    assert all(score > english.chance(name) + ABOVE_CHANCE for name, score in scores.items())
