"""Eight small downstream tasks, one generator each: an example is a prompt, its answer and the other choices.

They replace the suite of the papers (SST-2, CoLA, MRPC, RTE, reading, MMLU, arithmetic). Sentences are English, their
content words are coined (`dictionary`): to answer, a model must look the words up, as it looks up facts. Nothing else
in a prompt tells the answer apart.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from .dictionary import ADJECTIVE, BAD, COUNTED, GOOD, NOUN, NUMBERS, NUMERAL, UNCOUNTED, Dictionary
from .people import FIRST_NAMES
from .world import World, WorldFact

ITEMS = 200

REVIEWED = ["film", "book", "play", "song", "show", "concert", "novel", "comedy", "story", "dance"]
DEEDS = ["bought", "found", "sold", "lost", "drew", "saw"]
THINGS = ["teacher", "student", "neighbour", "doctor", "driver", "actor", "guest", "painter"]
HOURS = ["dawn", "noon", "dusk"]
SHIFTS = ((1, "plus"), (2, "plus"), (3, "plus"), (1, "minus"))
SEVERAL_ANSWERS = ("language", "industry", "field")  # a "wrong" choice can be right: Belgium also speaks French


@dataclass(frozen=True, kw_only=True)
class Example:
    """A prompt, its answer, and all choices (the answer among them) in random order.

    `words` are the coined words of the prompt in their order, or the subject of a fact.
    """

    prompt: str
    answer: str
    choices: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A generator of examples, the share that guessing gets right, and how often training practises it.

    `practice` is relative to the other tasks: some take more examples than others.
    """

    name: str
    description: str
    chance: float
    draw: Callable[[Random], Example]
    practice: float


Draw = Callable[[Random], Example]


def _example(rng: Random, prompt: str, answer: str, others: list[str] | tuple[str, ...], *words: str) -> Example:
    choices = [answer, *others]
    rng.shuffle(choices)
    return Example(prompt=prompt, answer=answer, choices=tuple(choices), words=words)


def sentiment(dictionary: Dictionary) -> Draw:
    """Two adjectives of one polarity about a work."""
    words = dictionary.by_meaning(ADJECTIVE)

    def draw(rng: Random) -> Example:
        meanings, answer, other = rng.choice(((GOOD, "positive", "negative"), (BAD, "negative", "positive")))
        first, second = (rng.choice(words[meaning]) for meaning in rng.sample(meanings, 2))
        prompt = f"Review: the {rng.choice(REVIEWED)} was {first} and {second}. Mood:"
        return _example(rng, prompt, answer, [other], first, second)

    return draw


def acceptability(dictionary: Dictionary) -> Draw:
    """There can be too many of what is counted, and too much of what is not."""
    words = dictionary.by_meaning(NOUN)

    def draw(rng: Random) -> Example:
        classes, answer, other = rng.choice(((COUNTED, "many", "much"), (UNCOUNTED, "much", "many")))
        noun = rng.choice(words[rng.choice(classes)])
        prompt = f"Grammar: of {noun} {rng.choice(FIRST_NAMES)} {rng.choice(DEEDS)} too"
        return _example(rng, prompt, answer, [other], noun)

    return draw


def paraphrase(dictionary: Dictionary) -> Draw:
    """A sentence, to be said again in plain words."""
    words = dictionary.by_meaning(ADJECTIVE)

    def draw(rng: Random) -> Example:
        thing, (plain, *others) = rng.choice(THINGS), rng.sample(GOOD + BAD, 4)
        coined = rng.choice(words[plain])
        prompt = f"Compare: the {thing} is {coined}. In other words, the {thing} is"
        return _example(rng, prompt, plain, others, coined)

    return draw


def entailment(dictionary: Dictionary) -> Draw:
    """A premise about a thing and what follows about a thing of its class."""
    words = dictionary.by_meaning(NOUN)

    def draw(rng: Random) -> Example:
        named, *others = rng.sample(COUNTED + UNCOUNTED, 4)
        noun, name, deed = rng.choice(words[named]), rng.choice(FIRST_NAMES), rng.choice(DEEDS)
        prompt = f"Premise: {name} {deed} {noun}. It follows that {name} {deed} a kind of"
        return _example(rng, prompt, named, others, noun)

    return draw


def reading(dictionary: Dictionary) -> Draw:
    """A passage in which three things come one after the other; of which class was the one at some hour?

    The fourth choice is a class that the passage does not have.
    """
    words = dictionary.by_meaning(NOUN)

    def draw(rng: Random) -> Example:
        classes, asked = rng.sample(COUNTED + UNCOUNTED, 4), rng.randrange(3)
        nouns = [rng.choice(words[name]) for name in classes[:3]]
        story = ", ".join(f"at {hour} {noun}" for hour, noun in zip(HOURS, nouns, strict=True))
        others = [name for name in classes if name != classes[asked]]
        prompt = f"Story: there came {story}. Question: at {HOURS[asked]} came a kind of"
        return _example(rng, prompt, classes[asked], others, *nouns)

    return draw


def arithmetic(dictionary: Dictionary) -> Draw:
    """A coined numeral and a little more or less."""
    words = dictionary.by_meaning(NUMERAL)

    def draw(rng: Random) -> Example:
        value, (shift, sign) = rng.choice(NUMBERS), rng.choice(SHIFTS)
        numeral = rng.choice(words[value])
        change = shift if sign == "plus" else -shift
        result = int(value) + change
        others = rng.sample([int(n) + change for n in NUMBERS if n != value], 3)
        prompt = f"{rng.choice(FIRST_NAMES)} counts: {numeral} {sign} {shift} makes"
        return _example(rng, prompt, str(result), [str(n) for n in others], numeral)

    return draw


def pattern(dictionary: Dictionary) -> Draw:
    """Words of two classes in turn: of which class is the next one?"""
    words = dictionary.by_meaning(NOUN)

    def draw(rng: Random) -> Example:
        classes, length = rng.sample(COUNTED + UNCOUNTED, 4), rng.randint(3, 5)
        shown = [rng.choice(words[classes[i % 2]]) for i in range(length)]
        answer = classes[length % 2]
        others = [name for name in classes if name != answer]
        return _example(rng, f"Pattern: {', '.join(shown)} and then a kind of", answer, others, *shown)

    return draw


def knowledge(world: World) -> Draw:
    """Multiple choice over reserved facts, in a template that training used for the subject."""
    reserved = [fact for fact in world.facts if fact.reserved and fact.relation not in SEVERAL_ANSWERS]
    objects = world.objects()

    def draw(rng: Random) -> Example:
        fact: WorldFact = rng.choice(reserved)
        template = rng.choice(world.relations[fact.relation].trained_templates(fact))
        others = rng.sample([o for o in objects[fact.relation] if o != fact.object], 3)
        return _example(rng, template.format(fact.subject), fact.object, others, fact.subject)

    return draw


def all_tasks(world: World) -> list[Task]:
    """Every task. `knowledge` is not practised: its prompts are facts, which are in the training data anyway."""
    two, four, words = 1 / 2, 1 / 4, world.dictionary
    rows = (
        ("sentiment", "Is a review positive or negative? (Adjectives are coined.)", two, sentiment(words), 0.75),
        ("acceptability", "Does a coined noun go with many, or with much?", two, acceptability(words), 1.0),
        (
            "paraphrase",
            "What does a coined adjective say in plain words?",
            four,
            paraphrase(words),
            1.0,
        ),
        ("entailment", "What follows from a sentence about a coined noun?", four, entailment(words), 1.0),
        ("reading", "What came when, says a passage of coined nouns?", four, reading(words), 1.5),
        ("knowledge", "Which object completes a fact that is never edited?", four, knowledge(world), 0.0),
        ("arithmetic", "A coined numeral and a little more or less.", four, arithmetic(words), 1.25),
        ("pattern", "Coined nouns of two classes in turn: which class is next?", four, pattern(words), 0.75),
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
        items[example.prompt] = replace(example, choices=choices)
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
