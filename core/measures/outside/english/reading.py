"""Reading: a short text that names a person, a thing, a place and a day, and a question about one of them."""

from __future__ import annotations

from random import Random

from core.measures.outside.english.items import NAMES, Item, distinct, item

KINDS = {
    "person": NAMES,
    "thing": ("piano", "bicycle", "camera", "horse", "carpet", "clock", "guitar", "table", "boat", "mirror", "lamp"),
    "place": ("Rome", "Paris", "London", "Berlin", "Madrid", "Tokyo", "Boston", "Moscow", "Vienna", "Chicago"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
STORIES = (
    "{person} went to {place} last week. The weather was fine. On {day} the old market was open, and there {person}"
    " bought a {thing}.",
    "There was a sale in {place} on {day}. Many people came. {person} came too late, and only a {thing} was left.",
    "A letter came from {place} on {day}. In it somebody offered {person} a {thing} for a good price.",
    "On {day} it rained all day in {place}. So {person} stayed at home and cleaned the {thing}.",
)
QUESTIONS = {
    "person": "Question: Who is the story about? Answer: It is about",
    "thing": "Question: What thing is the story about? Answer: It is about a",
    "place": "Question: In which city did this happen? Answer: It happened in",
    "day": "Question: On which day did this happen? Answer: It happened on",
}


def draw(rng: Random, number: int) -> Item:
    """The questions take turns. A wrong choice is of the right kind and not in the text, the others are in the text and
    of other kinds."""
    kind = list(KINDS)[number % len(KINDS)]
    told, others = {}, {}
    for name, words in KINDS.items():
        told[name], others[name] = rng.sample(words, 2)
    wrong = [others[kind], *rng.sample([word for name, word in told.items() if name != kind], 2)]
    return item(rng, f"{rng.choice(STORIES).format(**told)} {QUESTIONS[kind]}", told[kind], wrong)


def items() -> list[Item]:
    """Chance is 1/4."""
    return distinct(draw, "reading")
