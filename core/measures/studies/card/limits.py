"""What a fair bench has to fulfil, declared once, and the papers' claims that rest on it. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A number of the card must be at most (or at least) `at`. `short` names it in a table; `says` is a part of a
    sentence with "{}" for the number."""

    key: str
    short: str
    says: str
    at: float
    least: bool = False
    strict: bool = False

    def met(self, value: float | None) -> bool | None:
        """Whether a value meets the limit; None for a number that could not be measured."""
        if value is None or value != value:
            return None
        if self.strict:
            return value > self.at if self.least else value < self.at
        return value >= self.at if self.least else value <= self.at

    @property
    def bound(self) -> str:
        """The limit as a text: "< 0.15"."""
        sign = (">" if self.least else "<") if self.strict else ("≥" if self.least else "≤")
        return f"{sign} {self.at:g}"

    def sentence(self, value: float | None) -> str:
        """The number beside its limit, as a part of a sentence."""
        if value is None or value != value:
            return f"{self.short}: not measured"
        return f"{self.says.format(f'{value:.3g}')} (limit {self.bound})"


NEAR_CHANCE = 0.15  # a score this close to chance is taken for chance
TASKS_ZEROED = Limit(
    key="tasks_zeroed",
    short="tasks, edited layers zeroed: largest distance from chance",
    says="with the edited layers zeroed, tasks are up to {} away from chance",
    at=NEAR_CHANCE,
)
FACTS_ZEROED = Limit(
    key="facts_zeroed",
    short="known facts, edited layers zeroed",
    says="with the edited layers zeroed, {} of the known facts are still said",
    at=0.15,
    strict=True,
)
# No claim needs this one: where a tenth of the energy is enough for the tasks, Figure 2a of REVIVE is confirmed. It
# tells how slowly the curve rises.
TASKS_AT_TENTH = Limit(
    key="tasks_at_tenth",
    short="tasks at 10 % of the energy, of their full score",
    says="with 10 % of the energy, tasks keep {} of their score",
    at=0.6,
    strict=True,
)
EXACT = Limit(
    key="exact",
    short="exact efficacy of one round",
    says="after one round of MEMIT, {} of the edits are exact",
    at=0.95,
    least=True,
)
CHANGE = Limit(
    key="change",
    short="largest ‖ΔW‖/‖W₀‖ of one round",
    says="one round changes a layer by up to {} of its norm",
    at=0.3,
)
LS = Limit(
    key="ls",
    short="least LS of one round",
    says="one round brings the LS of a layer down to {}",
    at=0.85,
    least=True,
)
LIMITS = (TASKS_ZEROED, FACTS_ZEROED, TASKS_AT_TENTH, EXACT, CHANGE, LS)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of a paper, and the limits that a model must meet for an experiment on it to say anything."""

    says: str
    source: str
    needs: tuple[Limit, ...]

    def sentence(self, values: Mapping[str, float | None]) -> str:
        """Whether the claim can be examined on the model with these numbers, and why."""
        failed = [limit for limit in self.needs if not limit.met(values.get(limit.key))]
        begins = "Cannot be examined on this model" if failed else "Can be examined on this model"
        reasons = "; ".join(limit.sentence(values.get(limit.key)) for limit in failed or self.needs)
        return f"{begins}: that {self.says} ({self.source}). {reasons[0].upper()}{reasons[1:]}."


CLAIMS = (
    Claim(
        says="facts are stored in the edited layers and can be replaced there",
        source="ROME, MEMIT",
        needs=(FACTS_ZEROED, EXACT),
    ),
    Claim(
        says="a few dominant directions of W₀ carry what the model can do",
        source="REVIVE, Figure 2a",
        needs=(TASKS_ZEROED,),
    ),
    Claim(
        says="abilities suffer most where dominant directions are perturbed",
        source="REVIVE, Figure 2b",
        needs=(TASKS_ZEROED,),
    ),
    Claim(
        says="a guard on the dominant directions of W₀ protects abilities over many edits",
        source="REVIVE",
        needs=(TASKS_ZEROED, EXACT, CHANGE, LS),
    ),
    Claim(
        says="many small edits wear the spectrum of W₀ before abilities collapse",
        source="REVIVE, PRUNE",
        needs=(TASKS_ZEROED, EXACT, CHANGE, LS),
    ),
    Claim(
        says="edits in the null space of old keys keep the facts that nobody edits",
        source="AlphaEdit",
        needs=(FACTS_ZEROED, EXACT, CHANGE),
    ),
)


def limit_rows(values: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """The table of limits: the number, its bound, and whether it is met (yes, no, not measured)."""
    words = {True: "yes", False: "no", None: "not measured"}
    return [
        {
            "what": limit.short,
            "value": values.get(limit.key),
            "limit": limit.bound,
            "met": words[limit.met(values.get(limit.key))],
        }
        for limit in LIMITS
    ]


def claim_rows(values: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """The table of claims: whether each can be examined, and the sentence that says so."""
    return [
        {
            "claim": claim.says,
            "source": claim.source,
            "can": "yes" if all(limit.met(values.get(limit.key)) for limit in claim.needs) else "no",
            "sentence": claim.sentence(values),
        }
        for claim in CLAIMS
    ]
