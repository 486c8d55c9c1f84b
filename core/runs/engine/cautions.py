"""Warnings of a run: doubtful facts at its start, and a model that degrades during it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from core.facts.fact import Fact
from core.measures.warning import Signs, early_warning, first_flag
from core.models.forward import score
from core.models.language_model import LanguageModel
from core.runs.progress.events import Warned
from core.runs.spec.plan import Past, Plan

LOOKED_AT = 1000  # facts that are checked before the run for targets that the model predicts already
BATCH = 64  # of them at a time
HALF = 0.5  # of what the unedited model knew: below that a lane has collapsed
COLLAPSING = {"unedited_recall": "facts that were never edited", "task_mean": "the tasks"}


def cautions(lm: LanguageModel, facts: Sequence[Fact], plan: Plan, heartbeat: Callable[[], None]) -> Iterator[Warned]:
    """Warnings about targets that the model predicts already, facts edited twice, and subjects repeated in a round."""
    for message in (_already_known(lm, facts, heartbeat), _edited_again(facts), _within_rounds(facts, plan)):
        if message:
            yield Warned(message=message)


def elsewhere(
    started: Mapping[str, Any], now: Mapping[str, Any], statistics: Mapping[str, str] | None = None
) -> Warned | None:
    """A warning if a resumed run has other packages, another device or other `statistics` (digests by layer) than its
    `started` event records; None if nothing differs. `now` is the value of `conditions`."""
    before = conditions(started["versions"], started["model"])
    differ = [name for name in now if before.get(name, now[name]) != now[name]]
    changes = ", ".join(f"{name} {now[name]} (before: {before[name]})" for name in differ)
    earlier = started.get("statistics") or {}
    others = [layer for layer, digest in (statistics or {}).items() if earlier.get(layer, digest) != digest]
    if others:
        changes += f"{', ' if changes else ''}statistics of layers {', '.join(others)} (their values differ)"
    if not changes:
        return None
    message = (
        f"This run continues under other conditions than before: {changes}. Its numbers may differ in the last digits "
        "from those of an uninterrupted run."
    )
    return Warned(message=message, about=f"elsewhere: {changes}")


def conditions(versions: Mapping[str, str], model: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions that affect the last digits of a run's numbers: package versions, the device, and its threads."""
    return {**versions, **{name: model[name] for name in ("device", "threads") if name in model}}


def flagged(past: Past, lane: str, number: int) -> Iterator[Warned]:
    """Warnings after a lane's measurement: the early warning, when it first occurs, and scores that have collapsed. The
    level "error" means that the lane's numbers are no longer finite and it should end."""
    places = past.history(lane, number)
    signs = [Signs.of(place[1], past.scores[place], past.rows(place)) for place in places]
    early = early_warning(signs)
    if early is not None and (early.stop or first_flag(signs) == early):
        yield Warned(level="error" if early.stop else "warn", lane=lane, round=number, message=early.message)
    base = next((past.scores[place] for place in past.scores if place[1] == 0), {})
    before = past.scores[places[-2]] if len(places) > 1 else base
    for message in collapse(past.scores[places[-1]], base, before):
        yield Warned(lane=lane, round=number, message=message)


def collapse(now: Mapping[str, Any], base: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each score that has just fallen below half of its value before any edit."""
    for column, what in COLLAPSING.items():
        value, first = now.get(column), base.get(column)
        if value is None or not first:
            continue
        last = before.get(column)
        if value < HALF * first and (last is None or last >= HALF * first):
            message = f"the model has lost more than half of {what}: {first:.0%} before the edits, {value:.0%} now."
            yield message[0].upper() + message[1:]


def _already_known(lm: LanguageModel, facts: Sequence[Fact], heartbeat: Callable[[], None]) -> str:
    first_facts = facts[:LOOKED_AT]
    known: list[Fact] = []
    for start in range(0, len(first_facts), BATCH):
        some = first_facts[start : start + BATCH]
        with lm.worn({}):
            exact = score(lm, [fact.text for fact in some], [fact.target for fact in some], beat=heartbeat).exact
        known += [fact for fact, says in zip(some, exact.tolist(), strict=True) if says]
    if not known:
        return ""
    of = f"the first {LOOKED_AT:,}" if len(facts) > LOOKED_AT else f"{len(facts):,}"
    example = f'"{known[0].text} {known[0].target}"'
    return f"The model already gives {len(known):,} of {of} targets, such as {example}: editing them shows little."


def _edited_again(facts: Sequence[Fact]) -> str:
    first: dict[tuple[str, str], Fact] = {}
    again = []
    for fact in facts:
        earlier = first.setdefault((fact.subject, fact.prompt), fact)
        if earlier.target != fact.target:
            again.append((earlier, fact))
    if not again:
        return ""
    earlier, later = again[0]
    return (
        f'Facts contradict earlier ones ({len(again):,}), such as "{earlier.text}" with "{earlier.target}" and then '
        f'"{later.target}": only one of them can hold.'
    )


def _within_rounds(facts: Sequence[Fact], plan: Plan) -> str:
    first_round: dict[str, int] = {}
    for number in range(1, plan.rounds + 1):
        seen: set[str] = set()
        for index in plan.edited_in(number):
            subject = facts[index].subject
            if subject in seen:
                first_round.setdefault(subject, number)
            seen.add(subject)
    if not first_round:
        return ""
    subject, number = next(iter(first_round.items()))
    return (
        f'Subjects are repeated within a round ({len(first_round):,}), such as "{subject}" in round {number}: '
        "their keys are nearly the same, so their edits interfere."
    )
