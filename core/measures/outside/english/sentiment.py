"""Sentiment: two sentences of a review, and which verdict follows."""

from __future__ import annotations

from random import Random

from core.measures.outside.english.items import Item, distinct, item

# thing: (what is praised, what is complained of)
REVIEWS = {
    "restaurant": (
        ("The soup was fresh and full of flavor.", "The waiter was friendly and quick.", "The bread was still warm.",
         "The dessert was the best that I have ever eaten.", "The prices were fair.", "We loved every dish."),
        ("The soup was cold and had no taste.", "The waiter was rude and slow.", "The bread was hard as a stone.",
         "The dessert made me sick.", "The prices were far too high.", "We found a hair in the salad."),
    ),
    "hotel": (
        ("The room was clean and quiet.", "The bed was very comfortable.", "The staff helped us with a smile.",
         "The view of the sea was beautiful.", "Breakfast was fresh and generous.", "We slept very well."),
        ("The room was dirty and smelled of smoke.", "The bed was broken.", "The staff ignored us.",
         "The view was of a gray wall.", "Breakfast was stale and cold.", "The noise kept us awake all night."),
    ),
    "movie": (
        ("The story moved me to tears.", "The actors were brilliant.", "The music was lovely.",
         "I laughed from beginning to end.", "Every scene was a joy to watch.", "The ending was clever and touching."),
        ("The story made no sense.", "The actors were wooden.", "The music hurt my ears.",
         "I fell asleep after ten minutes.", "Every scene was too long and dull.", "The ending was stupid."),
    ),
    "book": (
        ("I could not put it down.", "The characters felt like old friends.", "The language is rich and clear.",
         "I learned something on every page.", "The plot is full of surprises.", "I gave a copy to all my friends."),
        ("I gave up after twenty pages.", "The characters are flat and boring.", "The language is clumsy.",
         "I learned nothing from it.", "The plot is silly and predictable.", "I threw my copy away."),
    ),
    "phone": (
        ("The battery lasts for three days.", "The screen is bright and sharp.", "It is fast and easy to use.",
         "The camera takes beautiful pictures.", "It still works perfectly after years.", "My whole family loves it."),
        ("The battery dies after an hour.", "The screen cracked on the first day.", "It is slow and hard to use.",
         "The camera takes blurry pictures.", "It stopped working after a week.", "I want my money back."),
    ),
    "concert": (
        ("The singer has a wonderful voice.", "The band played with joy.", "The crowd danced all night.",
         "The sound was clear and warm.", "They played all my favorite songs.", "I smiled all the way home."),
        ("The singer was drunk and out of tune.", "The band looked bored.", "Half of the crowd left early.",
         "The sound was so bad that my ears hurt.", "They played for only half an hour.", "I regret that I went."),
    ),
}  # fmt: skip
ENDINGS = (  # before the verdict, the good one and the bad one
    ("Overall, the {} was", "wonderful.", "terrible."),
    ("In short, the {} was", "excellent.", "awful."),
    ("All in all, it was a", "great experience.", "bad experience."),
    ("I would call the {}", "very good.", "very bad."),
)


def draw(rng: Random, number: int) -> Item:
    """Good and bad reviews take turns."""
    thing, sides = rng.choice(list(REVIEWS.items()))
    good = number % 2 == 0
    first, second = rng.sample(sides[0 if good else 1], 2)
    ending, *verdicts = rng.choice(ENDINGS)
    right, wrong = verdicts if good else reversed(verdicts)
    return item(rng, f"{first} {second} {ending.format(thing)}", right, [wrong])


def items() -> list[Item]:
    """Chance is 1/2."""
    return distinct(draw, "sentiment")
