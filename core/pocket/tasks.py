"""Eight small downstream tasks, one generator each: an example is a prompt, its answer and the other choices.

They replace the suite of the papers (SST-2, CoLA, MRPC, RTE, reading, MMLU, arithmetic) and are simple enough for a
small model to learn in a few million tokens: lexical cues, closed logic, small tables, words of a kind in a passage.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .people import FIRST_NAMES
from .world import World, WorldFact

ITEMS = 200

GOOD = ["great", "wonderful", "charming", "brilliant", "lovely", "superb", "delightful", "funny", "clever", "moving"]
BAD = ["awful", "boring", "dull", "terrible", "clumsy", "weak", "dreadful", "tedious", "silly", "stale"]
REVIEWED = ["film", "book", "play", "song", "show", "concert", "novel", "comedy", "story", "dance"]

SINGULAR = ["dog", "cat", "bird", "child", "farmer", "king", "horse", "singer"]
VERBS = ["sleep", "run", "sing", "jump", "wait", "laugh", "dance", "swim"]
PLACES = ["garden", "house", "park", "forest", "street", "kitchen"]

SYNONYMS = (
    ("big", "large"), ("small", "little"), ("quick", "fast"), ("happy", "glad"), ("smart", "clever"), ("sick", "ill"),
    ("quiet", "silent"), ("rich", "wealthy"), ("angry", "furious"), ("brave", "fearless"), ("tired", "weary"),
    ("strange", "odd"),
)  # fmt: skip
DENIALS = ("not", "never", "hardly")
THINGS = ["teacher", "student", "neighbour", "doctor", "driver", "actor", "guest", "painter"]

KINDS = ["dog", "cat", "horse", "robot", "farmer", "dragon", "sailor", "student", "knight", "lion"]
QUALITIES = ["brave", "calm", "clever", "tall", "honest", "gentle", "proud", "noisy", "hungry", "lazy"]
QUANTIFIERS = (("Every", "yes"), ("No", "no"), ("Perhaps a", "maybe"))

DEEDS = ["paints", "sells", "cuts", "buys", "washes", "breaks", "hides", "throws"]
GOODS = [
    "bread",
    "lamps",
    "boats",
    "shoes",
    "apples",
    "books",
    "chairs",
    "bells",
    "coins",
    "flowers",
    "kites",
    "plates",
]

COUNTED = ["apples", "coins", "books", "shells", "stones", "eggs", "keys", "cards"]
SEVERAL_ANSWERS = ("language", "industry", "field")  # a "wrong" choice can be right: Belgium also speaks French
PATTERN_WORDS = ["red", "blue", "green", "black", "white", "gold", "sun", "moon", "star", "rain", "snow", "wind"]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A prompt, its answer, and all choices (the answer among them) in random order."""

    prompt: str
    answer: str
    choices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A generator of examples, the share that guessing gets right, and how often training practises it.

    `practice` is relative to the other tasks: comparing two words takes more examples than reading a cue.
    """

    name: str
    description: str
    chance: float
    draw: Callable[[Random], Example]
    practice: float


def _example(rng: Random, prompt: str, answer: str, others: list[str] | tuple[str, ...]) -> Example:
    choices = [answer, *others]
    rng.shuffle(choices)
    return Example(prompt=prompt, answer=answer, choices=tuple(choices))


def sentiment(rng: Random) -> Example:
    """Two adjectives of one polarity about a work."""
    words, answer, other = rng.choice(((GOOD, "positive", "negative"), (BAD, "negative", "positive")))
    first, second = rng.sample(words, 2)
    return _example(rng, f"Review: the {rng.choice(REVIEWED)} was {first} and {second}. Mood:", answer, [other])


def acceptability(rng: Random) -> Example:
    """Number agreement of subject and verb."""
    noun, verb, place = rng.choice(SINGULAR), rng.choice(VERBS), rng.choice(PLACES)
    plural, right = rng.random() < 0.5, rng.random() < 0.5
    subject = f"two {noun}s" if plural and noun != "child" else "two children" if plural else f"one {noun}"
    form = verb if plural == right else {"laugh": "laughs", "dance": "dances"}.get(verb, verb + "s")
    answer, other = ("good", "bad") if right else ("bad", "good")
    return _example(rng, f"Grammar: {subject} {form} in the {place}. Judgement:", answer, [other])


def paraphrase(rng: Random) -> Example:
    """Two sentences: the second repeats the first with a synonym, or denies it."""
    first, synonym = rng.sample(rng.choice(SYNONYMS), 2)
    same = rng.random() < 0.5
    second = synonym if same else f"{rng.choice(DENIALS)} {synonym}"
    name, thing = rng.choice(FIRST_NAMES), rng.choice(THINGS)
    answer, other = ("same", "different") if same else ("different", "same")
    return _example(rng, f"Compare: {name} the {thing} is {first}. {name} is {second}. Meaning:", answer, [other])


def entailment(rng: Random) -> Example:
    """A quantified rule, a member of the kind, a conclusion: yes, no or maybe."""
    (quantifier, answer) = rng.choice(QUANTIFIERS)
    kind, quality, name = rng.choice(KINDS), rng.choice(QUALITIES), rng.choice(FIRST_NAMES)
    others = [label for _, label in QUANTIFIERS if label != answer]
    prompt = f"{quantifier} {kind} is {quality}. {name} is a {kind}. Is {name} {quality}? Answer:"
    return _example(rng, prompt, answer, others)


def reading(rng: Random) -> Example:
    """A passage with a person, a thing and a place; the question asks for one of the three.

    The other two are among the choices, and so is one of the right kind that the passage does not name.
    """
    kinds = {"person": FIRST_NAMES, "thing": GOODS, "place": PLACES}
    in_story, unmentioned = {}, {}
    for kind, words in kinds.items():
        in_story[kind], unmentioned[kind] = rng.sample(words, 2)
    story = f"{in_story['person']} {rng.choice(DEEDS)} {in_story['thing']} in the {in_story['place']}"
    asked_kind = rng.choice(list(kinds))
    others = [word for kind, word in in_story.items() if kind != asked_kind] + [unmentioned[asked_kind]]
    return _example(rng, f"Story: {story}. Question: the {asked_kind} is", in_story[asked_kind], others)


def arithmetic(rng: Random) -> Example:
    """Sums and differences of numbers up to twelve, in a sentence about a person who counts things."""
    first, second, word = rng.randint(1, 12), rng.randint(1, 12), "plus"
    if rng.random() < 0.4:
        first, second, word = max(first, second) + 1, min(first, second), "minus"
    result = first + second if word == "plus" else first - second
    others = [n for n in range(max(0, result - 4), result + 5) if n != result]
    prompt = f"{rng.choice(FIRST_NAMES)} counts {rng.choice(COUNTED)}: {first} {word} {second} makes"
    return _example(rng, prompt, str(result), [str(n) for n in rng.sample(others, 3)])


def pattern(rng: Random) -> Example:
    """A repeated sequence of two or three words, to be continued."""
    words = rng.sample(PATTERN_WORDS, rng.choice((2, 3)))
    start, length = rng.randrange(len(words)), rng.randint(5, 8)
    shown = [words[(start + i) % len(words)] for i in range(length + 1)]
    answer = shown.pop()
    others = [w for w in words if w != answer]
    others += rng.sample([w for w in PATTERN_WORDS if w not in words], 3 - len(others))
    return _example(rng, "Pattern: " + " ".join(shown), answer, others)


def knowledge(world: World) -> Callable[[Random], Example]:
    """Multiple choice over reserved facts, in a template that training used for the subject."""
    reserved = [fact for fact in world.facts if fact.reserved and fact.relation not in SEVERAL_ANSWERS]
    objects = world.objects()

    def draw(rng: Random) -> Example:
        fact: WorldFact = rng.choice(reserved)
        template = rng.choice(world.relations[fact.relation].trained_templates(fact))
        others = rng.sample([o for o in objects[fact.relation] if o != fact.object], 3)
        return _example(rng, template.format(fact.subject), fact.object, others)

    return draw


def all_tasks(world: World) -> list[Task]:
    """Every task. `knowledge` is not practised: its prompts are facts, which are in the training data anyway."""
    two, three, four = 1 / 2, 1 / 3, 1 / 4
    rows = (
        ("sentiment", "Is a review positive or negative?", two, sentiment, 0.5),
        ("acceptability", "Do subject and verb agree?", two, acceptability, 2.0),
        ("paraphrase", "Does a sentence say the same as another, or deny it?", two, paraphrase, 2.0),
        ("entailment", "Does a conclusion follow from a rule?", three, entailment, 0.5),
        ("reading", "Who, what or where, says a passage?", four, reading, 3.0),
        ("knowledge", "Which object completes a fact that is never edited?", four, knowledge(world), 0.0),
        ("arithmetic", "Sums and differences of small numbers.", four, arithmetic, 2.0),
        ("pattern", "How does a repeated sequence go on?", four, pattern, 0.75),
    )
    return [
        Task(name=name, description=description, chance=chance, draw=draw, practice=practice)
        for name, description, chance, draw, practice in rows
    ]


def held_out_items(task: Task, seed: int, count: int = ITEMS) -> list[Example]:
    """`count` distinct prompts of a task, with answers and their positions as even as the draw allows.

    Two-way and three-way labels get equal shares; open answers do not repeat needlessly often.
    """
    rng = Random(f"items-{task.name}-{seed}")
    labels = {task.draw(rng).answer for _ in range(100)}
    limit = -(-count // len(labels)) if len(labels) <= 3 else count
    items: dict[str, Example] = {}
    used: dict[str, int] = {}
    for _ in range(count * 200):
        if len(items) == count:
            return list(items.values())
        example = task.draw(rng)
        if example.prompt in items or used.get(example.answer, 0) >= limit:
            continue
        position = len(items) % len(example.choices)
        others = [choice for choice in example.choices if choice != example.answer]
        choices = (*others[:position], example.answer, *others[position:])
        items[example.prompt] = Example(prompt=example.prompt, answer=example.answer, choices=choices)
        used[example.answer] = used.get(example.answer, 0) + 1
    raise ValueError(f"task {task.name!r} has fewer than {count} distinct prompts")


def write_tasks(tasks: list[Task], folder: Path, seed: int) -> None:
    """Write `<name>.jsonl` for each task, and `index.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for task in tasks:
        items = held_out_items(task, seed)
        rows = [{"prompt": e.prompt, "choices": e.choices, "answer": e.choices.index(e.answer)} for e in items]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (folder / f"{task.name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        index[task.name] = {"description": task.description, "chance": round(task.chance, 4), "items": len(items)}
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def read_tasks(folder: Path) -> dict[str, list[dict]]:
    """task name -> items `{"prompt", "choices", "answer"}` as written by `write_tasks`."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in index
    }
