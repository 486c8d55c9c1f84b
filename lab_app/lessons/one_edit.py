"""Lesson 1: a model is taught one false fact. Which of its other answers move?"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, frac, norm, power, row, sub, under, words
from core.charts.grammar import Chart
from core.facts.readers.pocket import PocketWorld
from lab_app.lessons.lesson import Choice, Events, Lesson, Outcome, Rows, Seen, Study, listed, measured, score, studied

EDITS = (  # one a seed: every other country has a fact of each of these relations too
    ("capital", "France", "Rome", "The capital of {} is"),
    ("language", "Japan", "Spanish", "An official language of {} is"),
    ("currency", "India", "euro", "The currency of {} is"),
    ("continent", "Brazil", "Asia", "{} lies in"),
)
RELATIONS = tuple(relation for relation, *_ in EDITS)
ASKED = 240  # facts that are left alone and asked
LANE = "MEMIT"
EDIT, OTHER_WORDS, SUBJECT = "the edit itself", "in other words", "same subject"
KIN = (("same object", "same answer"), ("same relation", "same kind of question"), ("unrelated", "nothing in common"))
BESIDE = (SUBJECT, *(name for _, name in KIN))
PHRASES = dict(
    zip(
        BESIDE,
        ("about the same subject", "with the same answer", "of the same kind", "with nothing in common"),
        strict=True,
    )
)


def spec(seed: int, world: PocketWorld | None) -> dict[str, Any]:
    """One edit of a country; its other facts are neighbors; the most similar facts stay unedited and are tested."""
    relation, subject, target, prompt = EDITS[seed % len(EDITS)]
    edit: dict[str, Any] = {"subject": subject, "prompt": prompt, "target": target}
    asked: list[dict[str, Any]] = []
    if world is not None:
        known = world.relations[relation]
        truth = world.object_of[relation, subject]
        edit |= {"prompt": plain(world, relation), "truth": truth}
        edit["paraphrases"] = [known["templates"][i].replace("{}", subject, 1) for i in known["held_out"]]
        edit["neighborhood"] = [
            {"prompt": plain(world, other).replace("{}", subject, 1), "answer": world.object_of[other, subject]}
            for other in RELATIONS
            if other != relation and (other, subject) in world.object_of
        ]
        others = [found for found in world.facts if found["subject"] != subject]
        random.Random(f"lesson {seed}").shuffle(others)
        near = [found for found in others if found["relation"] == relation or found["object"] in (truth, target)]
        rest = [found for found in others if found["relation"] not in RELATIONS and found not in near]
        asked = [left_alone(world, found) for found in (near[: ASKED // 2] + rest)[:ASKED]]
    return {
        "model": "pocket",
        "facts": {"items": [edit, *asked], "count": 1, "unedited": ASKED},
        "round_size": 1,
        "lanes": [{"method": "memit", "name": LANE}],
        "measure": {"tasks": False, "maps": False, "inside": False, "neighbors": None, "unedited": ASKED},
    }


def plain(world: PocketWorld, relation: str) -> str:
    """The world's first prompt of a relation."""
    known = world.relations[relation]
    return next(text for i, text in enumerate(known["templates"]) if i not in set(known["held_out"]))


def left_alone(world: PocketWorld, found: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the spec that is tested but never edited (its target is not used)."""
    others = [name for name in world.objects[found["relation"]] if name != found["object"]]
    target = others[0] if others else "something else"
    prompt = plain(world, found["relation"])
    return {"subject": found["subject"], "prompt": prompt, "target": target, "truth": found["object"]}


def seen(events: Events) -> Seen:
    """The share of answers of each kind that changed after the edit."""
    states = measured(events).get(LANE) or []
    if not states or states[-1]["round"] < 1:
        return Seen([], [])
    rows, said = changes(states[0], states[-1], events), (states[-1].get("words") or [{}])[0]
    found = {row["what"]: row for row in rows}
    sentences = [taught(found, said)]
    if not studied(events, "counts"):
        return Seen(sentences, rows)
    moved = [name for name in BESIDE if name in found and found[name]["changed"] > 0]
    sentences.append(beside(found, moved))
    if examples := [change for change in studied(events, "changed") if change["before"] != change["after"]][:2]:
        texts = [f"“{change['prompt']}” was “{change['before']}” and is “{change['after']}”" for change in examples]
        sentences.append(f"For example, {listed(texts)}.")
    return Seen(sentences, rows, Outcome(*reach(moved)))


def changes(before: Mapping[str, Any], after: Mapping[str, Any], events: Events) -> Rows:
    """One row per kind of question: the share of changed answers, and their number."""
    rows: Rows = []
    asked = {EDIT: "efficacy_exact", OTHER_WORDS: "paraphrase_exact", SUBJECT: "neighborhood_exact"}
    for what, name in asked.items():
        first, last = score(before, name) or 0.0, score(after, name)
        if last is not None:
            changed = last - first if what != SUBJECT else first - last
            rows.append({"what": what, "changed": max(0.0, changed), "asked": None})
    counts = {row["tie"]: row for row in studied(events, "counts")}
    for tie, what in KIN:
        if tie in counts:
            rows.append({"what": what, "changed": counts[tie]["share"], "asked": counts[tie]["facts"]})
    return [{"table": "changes", **row, "text": text(row)} for row in rows]


def text(row: Mapping[str, Any]) -> str:
    """The label of a bar."""
    if row["asked"] is None:
        return f"{100 * row['changed']:.0f} %"
    return f"{round(row['changed'] * row['asked'])} of {row['asked']}"


def taught(found: Mapping[str, Mapping[str, Any]], said: Mapping[str, Any]) -> str:
    """Did the edit itself work?"""
    learned = found.get(EDIT, {}).get("changed", 0) > 0
    after = str(said.get("after") or "").strip().partition(". ")[0]
    about = f"Asked “{said['prompt']}”, the model now says “{after}”" if after else ""
    if not learned:
        return f"{about or 'The edited question is answered as before'}: the edit was not learned."
    others = found.get(OTHER_WORDS)
    follow = (
        "" if others is None else f", and {100 * others['changed']:.0f} % of the same question in other words follow"
    )
    return f"{about or 'The edited question has its new answer'}: the edit was learned{follow}."


def beside(found: Mapping[str, Mapping[str, Any]], moved: list[str]) -> str:
    """What else moved, by kind."""
    asked = sum(found[name]["asked"] or 0 for name in BESIDE if name in found)
    if not moved:
        return (
            f"Nothing else moved: the subject’s other facts and all {asked:,} answers about others stayed as they were."
        )
    parts = [f"{found[name]['text']}{'' if found[name]['asked'] else ' of those'} {PHRASES[name]}" for name in moved]
    still = [PHRASES[name] for name in BESIDE if name in found and name not in moved]
    return f"Other answers moved too: {listed(parts)}" + (f"; those {listed(still)} all stayed." if still else ".")


def reach(moved: list[str]) -> tuple[str, str]:
    """How far the edit reached, as a choice of the prediction."""
    if not moved:
        return "none", "nothing else moved"
    if KIN[-1][1] in moved:
        return "all", "answers with nothing in common moved too"
    return ("subject", "only its own subject moved") if moved == [SUBJECT] else ("kin", "its relatives moved")


LESSON = Lesson(
    key="one-edit",
    place=1,
    title="One edit and its neighbors",
    short="One edit",
    question="You teach a model one false fact. Which of its other answers move?",
    lead="Editing writes a new answer into the weights of a few layers. Those weights hold other facts as well, so "
    "the question is never only whether the edit worked, but what else it touched.",
    predict=Choice(
        says="Besides the edited fact, which answers will change?",
        options=(
            ("none", "Nothing else"),
            ("subject", "Only other facts about the same subject"),
            ("kin", "Also facts of the same kind, or with the same answer"),
            ("all", "Answers that have nothing in common with it too"),
        ),
    ),
    does="MEMIT changes one fact about a country. Before and after, the model is tested on this fact, its "
    "paraphrases, the country’s other facts, and 240 facts about other subjects.",
    takes="5 s",
    again="with another fact",
    spec=spec,
    study=Study(name="ripple", does="asking 240 other facts", options={"facts": None}),
    seen=seen,
    charts=(
        Chart(
            table="changes",
            kind="bar",
            x="what",
            y="changed",
            text="text",
            title="Answers that changed",
            x_title="",
            y_title="share of the answers",
            unit="share",
        ),
    ),
    promise="The share of answers that changed, by what they have in common with the edit.",
    protocol="greedy answers, as many tokens as the true answer has; the edit and its paraphrases count if every "
    "token of the new answer is the arg-max",
    equation=formula(
        "ΔW",
        "=",
        under("arg min", "Δ"),
        power(norm("(", "W", "+", "Δ", ")", sub("k", "∗"), "−", sub("v", "∗")), "2"),
        "+",
        "λ",
        words(" "),
        row(power(norm("Δ", power(sub("C", "0"), frac("1", "2"))), "2")),
    ),
    where="k∗ is the layer’s input at the subject’s last token, v∗ the desired output there; C₀, the second moment "
    "of other keys, penalizes changes to anything else.",
    paper="Meng et al. 2023, Mass-Editing Memory in a Transformer (MEMIT), arXiv 2210.07229; the neighbors as in "
    "CounterFact, Meng et al. 2022, arXiv 2202.05262",
)
