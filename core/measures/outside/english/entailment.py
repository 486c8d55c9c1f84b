"""Entailment: what follows from a sentence, its opposite, and two things that are said of something else. Each pair of
opposites has a sentence for either, so that knowing which word is more common is of no use."""

from __future__ import annotations

from random import Random

from core.measures.outside.english.items import NAMES, Item, distinct, item

LINKS = ("So", "Therefore", "This means that", "As a result,")
# Two sentences, the beginning of what follows, and what follows from the first and from the second.
PAIRS = (
    ("It rained all night.", "The sun has dried everything.", "the street is", "wet", "dry"),
    ("{n} poured water into the glass up to the top.", "{n} drank all of the water in the glass.", "the glass is",
     "full", "empty"),
    ("{n} has not slept for two days.", "{n} slept for ten hours.", "{n} feels", "tired", "rested"),
    ("The soup has just come from the fire.", "The soup has been in the fridge all day.", "the soup is", "hot", "cold"),
    ("{n} won a million in the lottery.", "{n} lost all of the money.", "{n} is now", "rich", "poor"),
    ("The doctors could not save {n}.", "The doctors saved the life of {n}.", "{n} is", "dead", "alive"),
    ("All of the lamps in the room are off.", "All of the lamps in the room are on.", "the room is", "dark", "bright"),
    ("The box is full of stones.", "The box is full of feathers.", "the box is", "heavy", "light"),
    ("{n} has just had a bath.", "{n} fell into the mud.", "{n} is", "clean", "dirty"),
    ("{n} has not eaten since yesterday.", "{n} has just eaten a big dinner.", "{n} is", "hungry", "full"),
    ("The alarm clock woke {n}.", "{n} is snoring in bed.", "{n} is", "awake", "asleep"),
    ("{n} got a wonderful present.", "The dog of {n} died.", "{n} is", "happy", "sad"),
    ("Nobody is talking in the library.", "Ten children are screaming in the library.", "the library is", "quiet",
     "loud"),
    ("{n} studied hard and knew every answer.", "{n} did not study and knew no answer.", "{n} did on the test",
     "well", "badly"),
    ("It is the middle of January in Canada.", "It is the middle of July in Egypt.", "the weather is", "cold", "hot"),
    ("The bread was baked a month ago.", "The bread was baked an hour ago.", "the bread is", "stale", "fresh"),
    ("{n} was born last week.", "{n} was born ninety years ago.", "{n} is very", "young", "old"),
    ("The knife cuts through everything.", "The knife cannot even cut butter.", "the knife is", "sharp", "dull"),
    ("The ring costs a year's salary.", "The ring costs only one dollar.", "the ring is", "expensive", "cheap"),
    ("{n} broke a leg in the accident.", "{n} came out of the accident without a scratch.", "{n} was", "injured",
     "unhurt"),
    ("The path is covered with ice.", "The path is covered with fresh sand.", "walking there is", "dangerous", "safe"),
    ("A child can solve this problem.", "Not even experts can solve this problem.", "the problem is", "easy", "hard"),
    ("{n} runs ten miles every morning.", "{n} can hardly get out of bed.", "{n} is", "strong", "weak"),
    ("The train left an hour before {n} came.", "{n} came an hour before the train left.", "{n} was", "late", "early"),
    ("Everyone in the country knows {n}.", "Nobody has ever heard of {n}.", "{n} is", "famous", "unknown"),
    ("The door was left unlocked.", "The door was locked with three keys.", "opening the door is", "easy", "difficult"),
    ("The judge believed that {n} had done it.", "The judge believed that {n} had not done it.", "{n} was found",
     "guilty", "innocent"),
    ("The team of {n} scored the last goal.", "The team of {n} did not score a goal.", "the team", "won", "lost"),
    ("{n} always tells the truth.", "{n} often cheats and lies.", "{n} is", "honest", "dishonest"),
    ("The ice was left in the sun.", "The water was left in the freezer.", "it is now", "liquid", "solid"),
)  # fmt: skip


def draw(rng: Random, number: int) -> Item:
    """The pairs take turns, and so do their two sides."""
    first, second, follows, *ends = PAIRS[number // 2 % len(PAIRS)]
    told = (first, second)[number % 2]
    right, wrong = ends if number % 2 == 0 else reversed(ends)
    others = [end for *_, about, one, two in PAIRS if ("{n}" in about) != ("{n}" in follows) for end in (one, two)]
    elsewhere = rng.sample(sorted(set(others) - {right, wrong}), 2)
    prompt = f"{told} {rng.choice(LINKS)} {follows}".format(n=rng.choice(NAMES))
    return item(rng, prompt, right, [wrong, *elsewhere])


def items() -> list[Item]:
    """Chance is 1/4."""
    return distinct(draw, "entailment")
