"""Grammatical minimal pairs: two ends of a sentence, one of which is wrong. Ten phenomena, twenty items each.

In the manner of BLiMP (Warstadt et al. 2020), with sentences of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from core.measures.outside.english.items import Item, distinct, item

PLACES = ("on the table", "in the garden", "near the river", "behind the house", "in the old shed", "by the window")
THINGS = ("key", "letter", "picture", "bottle", "flower", "box", "book", "lamp", "cup", "coin")
HOLDERS = ("cabinet", "teacher", "drawer", "neighbor", "museum", "office", "kitchen", "doctor")
PEOPLE = ("boy", "girl", "teacher", "doctor", "farmer", "student", "singer", "driver", "worker", "lawyer")
VERBS = (("walk", "walks"), ("sing", "sings"), ("live", "lives"), ("work", "works"), ("sit", "sits"), ("wait", "waits"))
SHE = ("girl", "woman", "queen", "mother", "aunt", "sister", "grandmother", "daughter")
HE = ("boy", "man", "king", "father", "uncle", "brother", "grandfather", "son")
PARTICIPLES = (
    ("eaten", "ate", "the bread"), ("written", "wrote", "a letter"), ("broken", "broke", "the window"),
    ("taken", "took", "the money"), ("seen", "saw", "the movie"), ("drunk", "drank", "the milk"),
    ("chosen", "chose", "a new name"), ("stolen", "stole", "the car"), ("forgotten", "forgot", "the answer"),
    ("driven", "drove", "to the city"), ("given", "gave", "him a book"), ("known", "knew", "her for years"),
)  # fmt: skip
OBJECTS = (("him", "he"), ("her", "she"), ("them", "they"), ("me", "I"), ("us", "we"))
GIFTS = ("a book", "some money", "a glass of water", "a long letter", "an old map", "the keys")
VOWELS = ("apple", "egg", "orange", "umbrella", "elephant", "engine", "island", "old coat", "empty box", "angry dog")
CONSONANTS = ("banana", "house", "table", "dog", "ship", "letter", "new car", "big tree", "small cat", "red hat")
ADJECTIVES = (
    ("taller", "tallest"), ("older", "oldest"), ("faster", "fastest"), ("stronger", "strongest"),
    ("younger", "youngest"), ("richer", "richest"), ("smarter", "smartest"), ("smaller", "smallest"),
)  # fmt: skip
MODALS = ("can", "will", "must", "should", "may", "could")
MASSES = ("water", "bread", "money", "sugar", "music", "sand", "snow", "rice", "salt", "furniture")
COUNTS = ("books", "chairs", "cars", "houses", "apples", "letters", "people", "dogs", "trees", "shops")


def agreement(rng: Random) -> Item:
    """A verb directly after its subject."""
    noun, (plural, singular), place = rng.choice(PEOPLE), rng.choice(VERBS), rng.choice(PLACES)
    many = rng.random() < 0.5
    forms = (plural, singular) if many else (singular, plural)
    right, wrong = (f"{form} {place}." for form in forms)
    return item(rng, f"Every day the {noun}{'s' if many else ''}", right, [wrong])


def attraction(rng: Random) -> Item:
    """A verb that agrees with its subject, and not with the noun before it."""
    thing, holder, place, many = rng.choice(THINGS), rng.choice(HOLDERS), rng.choice(PLACES), rng.random() < 0.5
    things = (f"{thing}es" if thing.endswith("x") else f"{thing}s") if many else thing
    of = f"the {holder}{'' if many else 's'}"
    right, wrong = ("are", "is") if many else ("is", "are")
    return item(rng, f"The {things} of {of}", f"{right} {place}.", [f"{wrong} {place}."])


def demonstratives(rng: Random) -> Item:
    """A noun in the number of its determiner."""
    thing = rng.choice([thing for thing in THINGS if thing != "box"])
    determiner, many = rng.choice((("this", False), ("that", False), ("these", True), ("those", True)))
    forms = (f"{thing}s", thing) if many else (thing, f"{thing}s")
    place = rng.choice(PLACES)
    right, wrong = (f"{form} {place}." for form in forms)
    return item(rng, f"I saw {determiner}", right, [wrong])


def reflexives(rng: Random) -> Item:
    """A reflexive pronoun in the gender of its subject."""
    she = rng.random() < 0.5
    forms = ("herself", "himself") if she else ("himself", "herself")
    end = rng.choice(("in the mirror.", "in the picture.", "in the water."))
    right, wrong = (f"{form} {end}" for form in forms)
    return item(rng, f"The {rng.choice(SHE if she else HE)} {rng.choice(('saw', 'looked at'))}", right, [wrong])


def participles(rng: Random) -> Item:
    """The participle after "has", and not the past tense."""
    right, wrong, end = rng.choice(PARTICIPLES)
    return item(rng, f"The {rng.choice(PEOPLE)} has", f"{right} {end}.", [f"{wrong} {end}."])


def cases(rng: Random) -> Item:
    """A pronoun that is an object."""
    right, wrong = rng.choice(OBJECTS)
    gift, verb = rng.choice(GIFTS), rng.choice(("gave", "sent", "brought", "showed"))
    return item(rng, f"The {rng.choice(PEOPLE)} {verb}", f"{right} {gift}.", [f"{wrong} {gift}."])


def articles(rng: Random) -> Item:
    """ "a" or "an" by the sound that follows."""
    vowel = rng.random() < 0.5
    noun = rng.choice(VOWELS if vowel else CONSONANTS)
    right, wrong = ("an", "a") if vowel else ("a", "an")
    verb = rng.choice(("saw", "found", "bought", "wanted"))
    return item(rng, f"The {rng.choice(PEOPLE)} {verb}", f"{right} {noun}.", [f"{wrong} {noun}."])


def comparison(rng: Random) -> Item:
    """The comparative before "than"."""
    right, wrong = rng.choice(ADJECTIVES)
    first, second = rng.sample(PEOPLE, 2)
    return item(rng, f"The {first} is", f"{right} than the {second}.", [f"{wrong} than the {second}."])


def modals(rng: Random) -> Item:
    """The bare verb after a modal."""
    right, wrong = rng.choice(VERBS)
    modal, place = rng.choice(MODALS), rng.choice(PLACES)
    return item(rng, f"The {rng.choice(PEOPLE)} {modal}", f"{right} {place}.", [f"{wrong} {place}."])


def quantities(rng: Random) -> Item:
    """ "much" before a mass, "many" before things that are counted."""
    mass = rng.random() < 0.5
    noun, place = rng.choice(MASSES if mass else COUNTS), rng.choice(("in the town", "in the house", "on the island"))
    right, wrong = ("much", "many") if mass else ("many", "much")
    opening = rng.choice(("There is not", "We did not see") if mass else ("There are not", "We did not see"))
    return item(rng, opening, f"{right} {noun} {place}.", [f"{wrong} {noun} {place}."])


PHENOMENA: tuple[Callable[[Random], Item], ...] = (
    agreement, attraction, demonstratives, reflexives, participles, cases, articles, comparison, modals, quantities,
)  # fmt: skip


def items() -> list[Item]:
    """The phenomena take turns. Chance is 1/2."""
    return distinct(lambda rng, number: PHENOMENA[number % len(PHENOMENA)](rng), "grammar")
