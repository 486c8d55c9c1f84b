"""Sources of facts besides typing: an uploaded file, a dataset, a template of a world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from core.errors import UserError, clipped, nearest, one_line
from core.facts import dataset
from core.facts.dataset import Dataset, Reading
from core.facts.files import read_file
from core.facts.order import BY_TRUTH, HIGH, LOW, ORDERS
from core.facts.readers.pocket import PocketWorld
from core.facts.source import MOST, spelled_out
from core.facts.typed import COLUMNS, parse_rows
from core.runs.spec.admission import Offer
from lab_app.form.examples import by_template
from lab_app.markup.text import plural

UPLOADED = (".csv", ".json", ".jsonl")
OFFERED = 400  # subjects and objects that a template offers
LONGEST_NAME = 100  # characters of a column's name in a message
CHECKED = 60  # rows of one check
TABLE = "table"
WORLD_NAMES = {"pocket": "the pocket world", "everyday": "everyday facts"}
ORDER_NAMES = dict(zip(ORDERS, ("as given", "shuffled", "by relation", "adversarial"), strict=True)) | {
    BY_TRUTH[0]: "the model’s surest first",
    BY_TRUTH[1]: "the least sure first",
    HIGH: "the surest quarter alone",
    LOW: "the least sure quarter alone",
}


def offered(world: PocketWorld | None, offer: Offer) -> dict[str, Any]:
    """The choices of the table: the world that facts are sampled from, its relations with their prompts, datasets,
    orders."""
    relations = [] if world is None else world.relations.items()
    return {
        "world": WORLD_NAMES["pocket" if world is None else world.source],
        "relations": [[name, known.get("description", name), prompt(known)] for name, known in relations],
        "datasets": [shown(kind, offer) for kind in dataset.known().values() if kind.name != TABLE],
        "orders": [[name, title] for name, title in ORDER_NAMES.items()],
        "suffixes": UPLOADED,
    }


def shown(kind: Dataset, offer: Offer) -> dict[str, Any]:
    """A dataset as offered on the page: `hub` has the source of each subset, "" if it must be uploaded."""
    fetched = offer.everything or kind.name in offer.data
    hub = {subset: kind.hub.get(subset, "") if fetched else "" for subset in kind.subsets}
    return {"name": kind.name, "title": kind.title, "hub": hub, "home": kind.home, "taught": dict(kind.taught)}


def prompt(relation: Mapping[str, Any]) -> str:
    """The first prompt of a relation."""
    return next(text for i, text in enumerate(relation["templates"]) if i not in relation["held_out"])


def relation(world: PocketWorld, name: str) -> dict[str, Any]:
    """A relation's subjects with their objects, and all its objects, for a template; real ones first."""
    if name not in world.relations:
        raise UserError(f'{world.named} has no relation "{name}"; {nearest(name, world.relations)}')
    rows = [row for row in world.facts if row["relation"] == name]
    rows.sort(key=lambda row: (not row.get("real", False), row["subject"]))
    subjects = [[row["subject"], row["object"]] for row in rows[:OFFERED]]
    return {"relation": name, "subjects": subjects, "objects": world.objects[name][:OFFERED], "all": len(rows)}


def looked_up(rows: Sequence[Mapping[str, Any]], world: PocketWorld | None) -> list[dict[str, Any]]:
    """The result of a lookup for each row: its problem, the true answer in the world, and a hint.

    `world` is None if another model than the pocket model is edited: then only the form is checked.
    """
    asked_by = {} if world is None else by_template(world)
    return [_looked_up(row, world, asked_by) for row in rows[:CHECKED]]


def _looked_up(row: Mapping[str, Any], world: PocketWorld | None, asked_by: Mapping[str, str]) -> dict[str, Any]:
    cells = {name: row[name] for name in COLUMNS if name in row}
    _, problems = parse_rows([cells])
    found = {"problems": [[problem.column, problem.message] for problem in problems], "truth": "", "hint": ""}
    subject, target = (str(row.get(name) or "").strip() for name in ("subject", "target"))
    name = asked_by.get(str(row.get("prompt") or "").strip())
    if world is None or name is None or not subject:
        return found
    truth = world.object_of.get((name, subject))
    if truth is None:
        near = get_close_matches(subject, (row["subject"] for row in world.facts if row["relation"] == name), n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        return found | {"hint": f"The pocket model was not taught this of “{subject}”.{meant}"}
    taught = f"The pocket model was taught {truth}"
    return found | {"truth": truth, "hint": f"{taught}: nothing changes." if truth == target else ""}


def uploaded(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """The rows of an uploaded file, their problems `{"row", "column", "message"}`, and a summary in words.

    A table with our own columns is returned unchanged, including invalid cells, to be corrected on the page. Other
    datasets return the facts of readable records; the summary names the others. Raises `UserError` for a file without
    facts, with its name but not its folder.
    """
    try:
        if path.suffix.lower() not in UPLOADED:
            raise UserError(f"{path}: facts are uploaded as {', '.join(UPLOADED)}")
        rows = read_file(path)
        kind = dataset.recognised(rows, str(path))
    except UserError as error:
        raise UserError(str(error).replace(str(path), path.name)) from None
    if kind.name == TABLE:  # counted first: reading takes a millisecond a row
        _limit(sum(isinstance(row, Mapping) and any(map(row.get, COLUMNS)) for row in rows), path)
    reading = dataset.read_rows(rows, kind)
    if kind.name != TABLE:
        facts = [fact.as_dict() for group in reading.groups for fact in group]
        return _few(facts, path), [], _told(path, kind, len(facts), reading)
    kept = [row for row in rows if isinstance(row, Mapping)]
    shown = [{name: row[name] for name in COLUMNS if row.get(name) not in (None, "", [])} for row in kept]
    filled = [row for row in shown if row]
    _, problems = parse_rows(filled)
    unknown = sorted({str(name) for row in kept for name in row} - {*COLUMNS, "source"})
    words = f"{path.name}: {plural(len(filled), 'row')} added."
    if unknown:
        some = ", ".join(clipped(one_line(name), LONGEST_NAME) for name in unknown[:5])
        words += f" Left out: column {some} (known are {', '.join(COLUMNS)})."
    broken = [problem for problem in reading.problems if not isinstance(rows[problem.row - 1], Mapping)]
    if broken and not filled:
        raise UserError(f"{path.name}: no facts in it; {spelled_out(broken)}")
    if broken:
        words += f" Left out: {spelled_out(broken)}."
    places = [{"row": problem.row, "column": problem.column, "message": problem.message} for problem in problems]
    return _few(filled, path), places, words


def _few(rows: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    if not rows:
        raise UserError(f"{path.name}: no facts in it")
    _limit(len(rows), path)
    return rows


def _limit(count: int, path: Path) -> None:
    if count > MOST:
        raise UserError(f"{path.name}: {count:,} facts; a run takes at most {MOST:,}. Upload a part of them")


def _told(path: Path, kind: Dataset, facts: int, reading: Reading) -> str:
    words = f"{path.name} is {kind.title}: {plural(facts, 'fact')} added."
    if kind.taught:
        words += f" New answers: {kind.taught[kind.subsets[0]]}."
    for what, left in (("records", reading.problems), ("questions", reading.left_out)):
        if left:
            words += f" {len(left):,} {what} left out: {spelled_out(left)}."
    return words
