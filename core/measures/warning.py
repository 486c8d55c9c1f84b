"""Early warning: from cheap signs, whether a lane is about to collapse. Needs no torch.

Two kinds of signs. *Outside*: perplexity of held-out text, recall of unedited facts. One of them past its limit is
enough. *Inside*: how far the weights have moved, whether they move faster and faster, LS, overlap of keys. None of
these is harmful by itself (under a guard LS falls too, and W may move far where it is not used), so it takes two of
them. A number that was finite before and is not any more raises a flag at once, with `stop`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

NUMBERS = {
    "perplexity": "the perplexity of held-out text",
    "unedited_recall": "the recall of facts never edited",
    "change": "the change of the weights",
    "ls": "LS",
    "key_overlap": "the overlap of keys",
}
FEWEST_STEPS = 3  # between measured rounds, before the pace of change can be told
HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class Signs:
    """What one measured round of a lane shows; None: not measured, or not finite.

    `change`: ‖W_t − W0‖_F / ‖W0‖_F of the layer that moved most; `ls`: the mean over the layers that moved (where a
    method chooses its layers, those that no round has edited say nothing); `key_overlap`: the mean over layers of
    `core.measures.inside.key_overlap.key_overlap`; `layers`: how many layers were finite and could be measured.
    """

    round: int
    perplexity: float | None = None
    unedited_recall: float | None = None
    change: float | None = None
    ls: float | None = None
    key_overlap: float | None = None
    layers: int = 0

    @classmethod
    def of(cls, round: int, scores: Mapping[str, Any], layers: Sequence[Mapping[str, Any]] = ()) -> Signs:
        """The signs in a row of rounds.csv and its rows of layers.csv."""
        moved = [row["change"] for row in layers if finite(row.get("change"))]
        alike = [row["ls"] for row in _moved(layers) if finite(row.get("ls"))]
        shared = [row["key_overlap"] for row in layers if finite(row.get("key_overlap"))]
        return cls(
            round=round,
            perplexity=scores.get("perplexity"),
            unedited_recall=scores.get("unedited_recall"),
            change=max(moved, default=None),
            ls=sum(alike) / len(alike) if alike else None,
            key_overlap=sum(shared) / len(shared) if shared else None,
            layers=len(layers),
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of the signs. The defaults come from runs of 2,000 edits of an earlier pocket model. On
    this one too they are reached before every lane's collapse (core/README.md); for another they are a first guess."""

    perplexity: float = 1.5  # times the unedited model's
    unedited_recall: float = 0.75  # of the unedited model's: halfway to half
    change: float = 2.0  # times ‖W0‖
    pace: float = 1.5  # times the slowest step before
    ls: float = 0.1
    key_overlap: float = 1.5  # times the first that was measured


@dataclass(frozen=True)
class Flag:
    """A warning about the last of the given rounds. `stop`: its numbers are not finite any more."""

    round: int
    reasons: tuple[str, ...]
    stop: bool = False

    @property
    def message(self) -> str:
        """One sentence for the user."""
        what = "is broken" if self.stop else "is on its way to collapse"
        return f"After round {self.round} the model {what}: {'; '.join(self.reasons)}."


def early_warning(history: Sequence[Signs], limits: Limits | None = None) -> Flag | None:
    """The flag for the last round of a lane's history; None if all is well.

    `history` is ascending and begins with the unedited model (round 0), with which rounds are compared. Rounds need not
    be consecutive.
    """
    if len(history) < 2 or history[0].round != 0:
        return None
    broken = _broken(history)
    if broken:
        return Flag(history[-1].round, tuple(broken), stop=True)
    signs = crossed(history, limits)
    outside = [signs[name] for name in ("perplexity", "unedited_recall") if name in signs]
    inside = [signs[name] for name in ("change", "pace", "ls", "key_overlap") if name in signs]
    if not outside and len(inside) < 2:
        return None
    return Flag(history[-1].round, (*outside, *inside))


def first_flag(history: Sequence[Signs], limits: Limits | None = None) -> Flag | None:
    """The flag of the first round that has one. A live run warns when this is the flag of its last round."""
    flags = (early_warning(history[: count + 1], limits) for count in range(1, len(history)))
    return next((flag for flag in flags if flag is not None), None)


def crossed(history: Sequence[Signs], limits: Limits | None = None) -> dict[str, str]:
    """The signs of the last round that are past their limits, each with a few words."""
    limits = limits or Limits()
    base, now = history[0], history[-1]
    signs = {}
    if base.perplexity and now.perplexity and now.perplexity >= limits.perplexity * base.perplexity:
        times = now.perplexity / base.perplexity
        signs["perplexity"] = f"held-out text is {times:.3g} times as perplexing as before the edits"
    if base.unedited_recall and now.unedited_recall is not None:
        share = now.unedited_recall / base.unedited_recall
        if share <= limits.unedited_recall:
            signs["unedited_recall"] = f"{1 - share:.0%} of what it knew of facts never edited is gone"
    if now.change is not None and now.change >= limits.change:
        signs["change"] = f"a layer has moved by {now.change:.3g} times its norm"
    faster = pace(history)
    if faster is not None and faster >= limits.pace:
        signs["pace"] = f"it moves {faster:.3g} times as fast as it once did"
    if base.ls is not None and now.ls is not None and now.ls <= limits.ls:
        signs["ls"] = f"LS has fallen to {now.ls:.2g}"
    first = next((past.key_overlap for past in history if past.key_overlap), None)
    if first and now.key_overlap and now.key_overlap >= limits.key_overlap * first:
        signs["key_overlap"] = f"new keys overlap earlier ones {now.key_overlap / first:.3g} times as much as at first"
    return signs


def pace(history: Sequence[Signs]) -> float | None:
    """How much faster `change` grows now than in its slowest step before, per round; None if that cannot be determined
    yet.

    Independent updates of one size let ‖W_t − W0‖ grow like √t, ever more slowly. When it speeds up, each round has to
    undo what the last ones did.
    """
    known = [(signs.round, signs.change) for signs in history if signs.change is not None]
    steps = [(after - before) / (end - start) for (start, before), (end, after) in pairwise(known)]
    if len(steps) <= FEWEST_STEPS or min(steps[:-1]) <= 0:
        return None
    return steps[-1] / min(steps[:-1])


def collapses(
    history: Sequence[Signs], tasks: Mapping[int, float | None], chance: float = 0.0
) -> dict[str, int | None]:
    """The first round in which a lane had collapsed, by two definitions; None if it had not, or if that was not
    measured.

    "tasks": the mean of the tasks has lost half of its distance to `chance`; "unedited": the recall of unedited facts
    is at most half of the unedited model's. `tasks` holds that mean by round, from round 0 on.
    """
    recall = {signs.round: signs.unedited_recall for signs in history}
    return {
        "tasks": _below(tasks, lambda first: chance + HALF * (first - chance)),
        "unedited": _below(recall, lambda first: HALF * first),
    }


def _moved(layers: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The layers that differ from W0; all of them where none does."""
    return [row for row in layers if row.get("change") != 0] or layers


def finite(value: Any) -> bool:
    """Whether this is a number, and finite."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _below(values: Mapping[int, float | None], limit: Callable[[float], float]) -> int | None:
    """The first round after 0 whose value is not above the limit that round 0 sets."""
    first = values.get(0)
    if not finite(first) or not first:
        return None
    for at in sorted(values):
        value = values[at]
        if at and value is not None and not value > limit(first):
            return at
    return None


def _broken(history: Sequence[Signs]) -> list[str]:
    """Numbers that were finite in every earlier round and are not finite, or missing, in the last one."""
    now, before = history[-1], history[:-1]
    lost = []
    for name, what in NUMBERS.items():
        value = getattr(now, name)
        earlier = [number for signs in before if (number := getattr(signs, name)) is not None]
        always = len(earlier) == len(before) and all(finite(number) for number in earlier)
        if always and not finite(value):
            lost.append(f"{what} is not finite")
    gone = before[0].layers - now.layers
    if gone > 0 and now.layers < min(signs.layers for signs in before):
        lost.append(f"{gone} layers hold numbers that are not finite")
    return lost
