"""NAS: norm-anchored scaling. Every target value gets the same length, and values that are far too long are dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float

from core import ceiling
from core.editing.lane.layer_method import LayerMethod
from core.editing.lane.method import Method, Round, Wrapper
from core.editing.settings.parameters import param
from core.lazy import torch

if TYPE_CHECKING:
    from core.editing.lane.results import Fit, RoundUpdate, Values

NAMED = 3  # skipped facts that a note names


@dataclass(frozen=True, kw_only=True)
class Nas(Wrapper):
    """v* = v0 + δ becomes m v* / ‖v*‖; if ‖v*‖ > 2 m, v* = v0 and the fact is not edited; z = (h0 − v0) + v*.

    As in the code of Liu et al. 2026, which wraps MEMIT, AlphaEdit, ROME and LyapLock. v0 is what the FFN of the last
    edited layer adds at the subject of the bare prompt, on the model on which δ was found. The anchor m is the mean
    ‖v*‖ on the unedited model without the largest 5 %: the authors take 1000 requests of CounterFact; here it is those
    of the lane's first round, so that it fits the run's corpus, and all later rounds keep it (or it is `norm`). A fact
    that is skipped stays in the round: its key is edited towards its present value. The losses of values are those that
    the optimisation reached, before lengths were set.
    """

    title: ClassVar[str] = "NAS"
    paper: ClassVar[str] = "arXiv 2602.02543"

    norm: float | None = param(
        None,
        symbol="m",
        gt=0,
        le=ceiling.RATIO,
        help="The length of every value; null: as measured, once, on the facts of the lane's first round.",
    )
    factor: float | None = param(
        2.0,
        gt=0,
        le=ceiling.RATIO,
        offers=((2.0, "2, with MEMIT and AlphaEdit"), (5.0, "5, with ROME in the authors' code")),
        help="A fact whose value is longer than this times the anchor is not edited; null: every fact is.",
    )
    scale: bool = param(True, help="Set the length of values; else values that are far too long are only dropped.")
    drop: float = param(0.05, ge=0, lt=1, help="The share of the longest values that the measured mean leaves out.")

    @classmethod
    def refusal(cls, method: type[Method]) -> str:
        """Methods without values, and those that cannot change a value's length."""
        if not issubclass(method, LayerMethod):
            return "it has no target values, and NAS sets their length"
        return "it turns outputs, which keep their length, and NAS sets it" if method.keeps_lengths else ""

    def edit(self, round_: Round) -> RoundUpdate:
        """The method's edit with anchored values; the notes say how many edits were skipped."""
        place = f"nas.{round_.recipe.layers[-1]}"
        if self.norm is not None:
            norm = self.norm
        elif place in round_.state.memory:
            norm = float(round_.state.memory[place])
        else:
            norm = round_.once(place, lambda: self.measured(round_))
        recipe = replace(round_.recipe, wrapper=replace(self, norm=norm))
        update = recipe.method.edit(replace(round_, recipe=recipe))
        anchor = {} if self.norm is not None else {place: torch.tensor([norm], dtype=torch.float64)}
        notes = [*update.notes, self.told(round_, update.values, norm)]
        return replace(update, notes=notes, memory={**update.memory, **anchor})

    def measured(self, round_: Round) -> float:
        """m: the mean ‖v*‖ of the round's facts on the unedited model, without the largest share."""
        from core.editing.rounds.procedures import target_values

        bare = replace(round_, recipe=replace(round_.recipe, wrapper=None, guards=(), guard_names=()))
        with round_.session.watch.phase("values"):
            values = target_values(bare, original=True)
            sizes = (self.outputs(round_, values, {}) + values.delta).norm(dim=0).sort().values
        return float(sizes[: len(sizes) - int(self.drop * len(sizes))].mean())

    def values(self, round_: Round, values: Values, weights: Mapping[int, Float[torch.Tensor, "d_out d_in"]]) -> Values:
        """The values with the anchor's length. `norm` is set here."""
        if self.norm is None:
            return values
        before = self.outputs(round_, values, weights)
        star = before + values.delta
        sizes = star.norm(dim=0)
        delta = (
            star * (self.norm / sizes.clamp(min=torch.finfo(sizes.dtype).tiny)) - before if self.scale else values.delta
        )
        if self.factor is not None:
            delta = torch.where(sizes > self.factor * self.norm, 0.0, delta)
        return replace(values, delta=delta, target=values.start + delta)

    def outputs(
        self, round_: Round, values: Values, weights: Mapping[int, Float[torch.Tensor, "d_out d_in"]]
    ) -> Float[torch.Tensor, "d b"]:
        """v0 of each fact: the FFN's output at the subject of the bare prompt, float64."""
        if LayerMethod.of(round_.recipe).site == "ffn":
            return values.start
        from core.editing.values.keys import prompts, states

        rows = prompts(round_.lm, round_.facts, ())
        with round_.lm.worn(weights):
            return states(round_.lm, rows, round_.recipe.layers[-1], "ffn", round_.heartbeat)

    def told(self, round_: Round, found: Values | Fit, norm: float) -> str:
        """The anchor, and which edits were skipped."""
        from core.editing.lane.results import Values

        dropped = found.delta.norm(dim=0) == 0 if isinstance(found, Values) and self.factor is not None else None
        skipped = [] if dropped is None else dropped.nonzero()[:, 0].tolist()
        said = (
            f"NAS: values have the length {norm:.3g}"
            if self.scale
            else f"NAS: the usual length of a value is {norm:.3g}"
        )
        if not skipped:
            return f"{said}; no edit was skipped."
        names = [f'"{round_.facts[i].text} {round_.facts[i].target}"' for i in skipped[:NAMED]]
        more = f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
        return (
            f"{said}; {len(skipped)} of {len(round_.facts)} edits were skipped, whose values were more than"
            f" {self.factor:g} times as long: {', '.join(names)}{more}."
        )


WRAPPER = Nas
