"""Lesson 6: is it worth editing a model at all, or is a fact better looked up?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.charts.formula import formula, sub, words
from core.charts.grammar import Chart
from core.facts.readers.pocket import PocketWorld
from lab_app.lessons.lesson import (
    Choice,
    Events,
    Interval,
    Lesson,
    Outcome,
    Seen,
    Study,
    bars,
    clearly,
    interval,
    listed,
    percent,
    short,
    studied,
    together,
)

EDIT, TUNE, CODEBOOK, RETRIEVE = "MEMIT", "fine-tuning", "GRACE", "SCR"
LANES = (EDIT, TUNE, CODEBOOK, RETRIEVE)
EDITS, ROUND = 300, 50
SAMPLE, HOPS = 100, 60  # facts that are asked, and asked two-hop questions
SAID, REWORDED, HOP, KEPT = "efficacy_exact", "paraphrase_exact", "portability_free_contains", "unedited_recall"
ASKED = (
    (SAID, "edited facts"),
    (REWORDED, "asked in other words"),
    (HOP, "two-hop questions"),
    ("neighborhood_exact", "their neighbors"),
    (KEPT, "facts never edited"),
)
UNREAD = 0.2  # SCR says fewer of the very prompts that it remembers: the model does not use what it reads
SLOWER = 1.1  # times the seconds of the unedited model, beyond noise


def spec(seed: int, world: PocketWorld | None) -> dict[str, Any]:
    """The same facts written into weights in two ways, and kept beside the model in two ways."""
    return {
        "model": "pocket",
        "facts": {"source": "pocket", "count": EDITS, "seed": seed, "unedited": 100},
        "round_size": ROUND,
        "lanes": [
            {"method": "memit", "contexts": 0, "name": EDIT},
            {"method": "ft_m", "name": TUNE},
            {"method": "grace", "name": CODEBOOK},
            {"method": "scr", "name": RETRIEVE},
        ],
        "measure": {"every": EDITS // ROUND, "tasks": False, "maps": False, "inside": False, "words": 0}
        | {"sample": SAMPLE, "final_sample": SAMPLE, "unedited": 100, "final_words": False, "perplexity": 0}
        | {"generated": HOPS, "answer_tokens": 8},
        "seed": seed,
    }


def seen(events: Events) -> Seen:
    """What each way says and keeps after all edits, and how long it takes to answer."""
    last = together(events, LANES)
    rows = bars("answers", last, ASKED)
    scores = {
        name: {lane: value for lane, state in last.items() if (value := interval(state, name)) is not None}
        for name, _ in ASKED
    }
    slower = {found["lane"]: found for found in studied(events, "latency") if found["lane"] in LANES}
    rows += [
        {"table": "seconds", "lane": lane, "what": "latency", "ratio": found["ratio"]}
        | {"low": found["low"], "high": found["high"]}
        for lane, found in slower.items()
    ]
    if not all(len(scores[name]) == len(LANES) for name in (SAID, REWORDED, KEPT)):
        return Seen([], rows)
    key, says = verdict(scores[REWORDED])
    sentences = [said(scores), kept(scores[KEPT]), unread(scores[SAID]), waits(slower)]
    return Seen([sentence for sentence in sentences if sentence], rows, Outcome(key, says))


def verdict(reworded: Mapping[str, Interval]) -> tuple[str | None, str]:
    """Which way answers most paraphrases, as in the prediction; None if the first two are too close to tell."""
    first, second = sorted(LANES, key=lambda lane: -reworded[lane][0])[:2]
    if clearly(reworded[first], reworded[second]) <= 0:
        return None, f"{first} and {second} are too close to tell"
    return {EDIT: "edit", TUNE: "tune", CODEBOOK: "store", RETRIEVE: "store"}[first], f"{first} answered most"


def shares(values: Mapping[str, Interval]) -> str:
    return listed([f"{lane} {percent(values[lane][0])}" for lane in LANES if lane in values])


def said(scores: Mapping[str, Mapping[str, Interval]]) -> str:
    """The facts as they were taught, in other words, and what follows from them."""
    hops = f" Of questions that need a second fact: {shares(scores[HOP])}." if scores[HOP] else ""
    return (
        f"Of the {EDITS} facts, each asked as it was taught, {shares(scores[SAID])} are said; asked in other words, "
        f"{shares(scores[REWORDED])}.{hops}"
    )


def kept(values: Mapping[str, Interval]) -> str:
    """What was never edited."""
    return f"Of the facts that were never edited the model still says: {shares(values)}."


def unread(values: Mapping[str, Interval]) -> str:
    """Why looking up can fail although the fact was found."""
    if values[RETRIEVE][0] >= UNREAD:
        return "SCR finds the sentence and puts it before the question; the model reads it there."
    return (
        "SCR puts the right sentence before the question, and this small model does not use it: it was never taught "
        "to read. A large model does, and there SCR is the better way by the paper’s account."
    )


def waits(slower: Mapping[str, Mapping[str, Any]]) -> str:
    """What an answer costs in time."""
    if set(slower) != set(LANES):
        return ""
    times = listed([f"{lane} {short(slower[lane]['ratio'])}" for lane in LANES])
    late = [lane for lane in LANES if slower[lane]["low"] > SLOWER]
    which = f"{listed(late)} made it clearly slower" if late else "none of them made it clearly slower"
    return f"An answer takes so many times the unedited model’s seconds: {times}; {which}."


LESSON = Lesson(
    key="lookup",
    place=6,
    title="Edit, or look it up?",
    short="Edit or look up",
    question="A fact can be written into the weights, or kept beside the model and looked up. Which is the better way?",
    lead="MEMIT and fine-tuning change the weights. GRACE keeps a code book: a prompt that comes near enough to a "
    "stored one gets a stored state. SCR keeps sentences and puts the best match before the question.",
    predict=Choice(
        says="After 300 edits, which way answers most questions that are asked in other words?",
        options=(
            ("edit", "MEMIT: the fact is in the weights, wherever the subject is named"),
            ("tune", "Fine-tuning: it practised most"),
            ("store", "GRACE or SCR: nothing is forgotten beside the model"),
        ),
    ),
    does=f"The same {EDITS} facts in rounds of {ROUND}, in four ways. Then they are asked as taught, in other words "
    "and in questions that need a second fact, and answers of 20 tokens are timed.",
    takes="110 s",
    again="with other facts",
    spec=spec,
    study=Study(name="cost", does="timing answers", options={"tokens": 20, "prompts": 10}),
    seen=seen,
    charts=(
        Chart(
            table="answers",
            kind="bar",
            x="what",
            y="share",
            by="lane",
            y_low="low",
            y_high="high",
            text="text",
            title=f"After {EDITS} edits",
            x_title="",
            y_title="share correct",
            unit="share",
        ),
        Chart(
            table="seconds",
            kind="bar",
            x="what",
            y="ratio",
            by="lane",
            y_low="low",
            y_high="high",
            title="Time to answer",
            x_title="",
            y_title="seconds / seconds of the unedited model",
            line=1.0,
            line_label="as fast",
        ),
    ),
    series=tuple(zip(LANES, (1, 4, 2, 3), strict=True)),
    promise="Five groups of bars: what is said, in other words, one step further, and what was left alone; then time.",
    protocol=f"{SAMPLE} of the facts and 100 others, asked after the last round; every token is the arg-max, but "
    "two-hop questions, whose answer stands in what the model writes by itself; latency: the median of ten prompts’ "
    "ratios; whiskers: 95 % intervals over facts",
    equation=formula("h", "→", sub("v", "i"), words(" where "), "‖", "h", "−", sub("k", "i"), "‖", "≤", sub("ε", "i")),
    where="GRACE: the state h at the end of a prompt is replaced by the stored one, v, if it is within ε of the key k "
    "that was stored with it.",
    paper="Ren et al., Revisiting Parameter-Based Knowledge Editing in Large Language Models: Theoretical Limits and "
    "Empirical Evidence; Hartvigsen et al. 2023 (GRACE)",
)
