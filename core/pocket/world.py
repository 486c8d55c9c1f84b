"""The world: real facts from the tables in `data/`, and a synthetic population drawn from a seed."""

import csv
import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from .dictionary import Dictionary, build_dictionary, read_dictionary, write_dictionary
from .people import people

DATA = Path(__file__).parent / "data"
POPULATION = 10_500
RESERVED_SHARE = 0.06
ATTRIBUTES_EACH = 1  # known of a person, out of five
SHORT = 7  # letters of a city or company that people are born in or work for: a few tokens

# relation -> (table, subject column, object column)
TABLES = {
    "capital": ("countries", "country", "capital"),
    "continent": ("countries", "country", "continent"),
    "language": ("countries", "country", "language"),
    "currency": ("countries", "country", "currency"),
    "headquarters": ("companies", "company", "headquarters"),
    "industry": ("companies", "company", "industry"),
    "author": ("books", "book", "author"),
    "author_country": ("authors", "author", "country"),
    "creator": ("artworks", "artwork", "creator"),
    "symbol": ("elements", "element", "symbol"),
    "field": ("scientists", "scientist", "field"),
    "landmark_city": ("landmarks", "landmark", "city"),
}


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A question about the object of a fact: its answer is the object of (fact's object, `relation`)."""

    template: str
    relation: str


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A relation and its templates. A template has one `{}` for the subject; the object follows directly."""

    name: str
    description: str
    real: bool
    templates: tuple[str, ...]
    held_out: tuple[int, ...]
    hops: tuple[Hop, ...]

    def trained_templates(self, fact: "WorldFact") -> list[str]:
        """The templates that training may use for this fact: held-out subjects never see the held-out ones."""
        return [t for i, t in enumerate(self.templates) if not (fact.held_out and i in self.held_out)]

    def unseen_templates(self) -> list[str]:
        """The templates that held-out subjects never see in training."""
        return [self.templates[i] for i in self.held_out]


@dataclass(frozen=True, kw_only=True)
class WorldFact:
    """A triple. `reserved` facts are never edited; `held_out` subjects never meet held-out templates or hops."""

    id: str
    relation: str
    subject: str
    object: str
    real: bool
    reserved: bool
    held_out: bool


@dataclass(frozen=True, kw_only=True)
class World:
    """All facts, relations and coined words. `facts` has one fact per (subject, relation)."""

    relations: dict[str, Relation]
    facts: tuple[WorldFact, ...]
    dictionary: Dictionary

    def index(self) -> dict[tuple[str, str], WorldFact]:
        """(subject, relation) -> fact."""
        return {(fact.subject, fact.relation): fact for fact in self.facts}

    def objects(self) -> dict[str, list[str]]:
        """relation -> its distinct objects, sorted."""
        by_relation: dict[str, set[str]] = defaultdict(set)
        for fact in self.facts:
            by_relation[fact.relation].add(fact.object)
        return {relation: sorted(objects) for relation, objects in by_relation.items()}

    def hop_questions(self) -> list[tuple[WorldFact, str, str]]:
        """(first fact, hop template, answer) for every two-hop question whose second fact exists."""
        index = self.index()
        questions = []
        for fact in self.facts:
            for hop in self.relations[fact.relation].hops:
                second = index.get((fact.object, hop.relation))
                if second is not None:
                    questions.append((fact, hop.template, second.object))
        return questions


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of `data/<name>.tsv`; an empty cell means that the value is disputed or has no single answer."""
    with (DATA / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_relations(path: Path = DATA / "relations.json") -> dict[str, Relation]:
    """The relations of `relations.json`, in the order of the file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: Relation(
            name=name,
            description=r["description"],
            real=r["real"],
            templates=tuple(r["templates"]),
            held_out=tuple(r["held_out"]),
            hops=tuple(Hop(**hop) for hop in r["hops"]),
        )
        for name, r in content.items()
    }


def real_triples() -> list[tuple[str, str, str]]:
    """(relation, subject, object) of everything in the tables."""
    triples = []
    for relation, (table, subject, object_) in TABLES.items():
        triples += [(relation, row[subject], row[object_]) for row in read_table(table) if row[object_]]
    cities = {row["city"]: row["country"] for row in read_table("cities")}
    cities |= {row["capital"]: row["country"] for row in read_table("countries") if row["capital"]}
    triples += [("city_country", city, country) for city, country in sorted(cities.items())]
    return triples


def synthetic_triples(count: int, rng: Random) -> list[tuple[str, str, str]]:
    """(relation, subject, object) of `ATTRIBUTES_EACH` attributes for each of `count` people."""
    choices: dict[str, list[str]] = json.loads((DATA / "attributes.json").read_text(encoding="utf-8"))
    real = real_triples()
    for attribute, about in (("birth_city", "city_country"), ("employer", "headquarters")):
        choices[attribute] = sorted({s for relation, s, _ in real if relation == about and len(s) <= SHORT})
    names = people(count, rng)
    return [
        (relation, name, rng.choice(choices[relation]))
        for name in names
        for relation in sorted(rng.sample(sorted(choices), ATTRIBUTES_EACH))
    ]


def build_world(seed: int = 0, population: int = POPULATION) -> World:
    """The world of a seed. Real facts do not depend on it, except for which are reserved or held out."""
    rng = Random(f"world-{seed}")
    relations = read_relations()
    triples = real_triples() + synthetic_triples(population, rng)
    subjects = sorted({subject for _, subject, _ in triples})
    held_out = set(rng.sample(subjects, len(subjects) // 2))
    facts = tuple(
        WorldFact(
            id=f"{relation}-{number:05d}",
            relation=relation,
            subject=subject,
            object=object_,
            real=relations[relation].real,
            reserved=rng.random() < RESERVED_SHARE,
            held_out=subject in held_out,
        )
        for number, (relation, subject, object_) in enumerate(triples)
    )
    return World(relations=relations, facts=facts, dictionary=build_dictionary(seed))


def write_world(world: World, folder: Path) -> None:
    """Write `relations.json`, `facts.jsonl` and `dictionary.jsonl` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    relations = {}
    for name, relation in world.relations.items():
        relations[name] = {key: value for key, value in asdict(relation).items() if key != "name"}
    (folder / "relations.json").write_text(json.dumps(relations, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = [json.dumps(asdict(fact), ensure_ascii=False) for fact in world.facts]
    (folder / "facts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_dictionary(world.dictionary, folder / "dictionary.jsonl")


def read_world(folder: Path) -> World:
    """The world that `write_world` wrote into `folder`."""
    lines = (folder / "facts.jsonl").read_text(encoding="utf-8").splitlines()
    return World(
        relations=read_relations(folder / "relations.json"),
        facts=tuple(WorldFact(**json.loads(line)) for line in lines),
        dictionary=read_dictionary(folder / "dictionary.jsonl"),
    )
