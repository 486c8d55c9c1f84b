"""Guard-aware rounds: values and updates are restricted to the directions that the lane's guards do not remove.

A guard that projects (REVIVE, the random control) removes U from an update's outputs and V from its inputs. A round
that knows this in advance loses nothing to it. δ stays orthogonal to U at the last edited layer. At each layer U is
removed from the residual and V from the keys, also from those of earlier rounds, and C0 is split into V and its
complement. So every method gives the result that it would give for Δ = (I − UUᵀ) Δ (I − VVᵀ) from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from core.editing.guards import CURRENT
from core.editing.lane.layer_method import LayerMethod
from core.editing.lane.method import Recipe
from core.editing.lane.session import EditSession
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank
from core.editing.linalg.subspace import Basis, joint_basis


class PrefixedMemo(MutableMapping):
    """A part of a memo, under a prefix."""

    def __init__(self, memo: MutableMapping[Any, Any], prefix: tuple):
        self.memo, self.prefix = memo, prefix

    def __getitem__(self, key: Any) -> Any:
        return self.memo[self.prefix, key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.memo[self.prefix, key] = value

    def __delitem__(self, key: Any) -> None:
        del self.memo[self.prefix, key]

    def __iter__(self) -> Iterator[Any]:
        return (key[1] for key in self.memo if isinstance(key, tuple) and key[0] == self.prefix)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def protected(recipe: Recipe, layer: int, weight: Float[Tensor, "d_out d_in"], session: EditSession) -> Basis | None:
    """The directions that the lane's guards together remove from updates of a layer; None in a lane that is not
    guard-aware.

    `weight` is the current one, for guards that use it. Guards that do not project are ignored.
    """
    if not recipe.method.guard_aware:
        return None
    bases = [session.basis(acting, layer, weight) for acting in recipe.guards]
    bases = [basis for basis in bases if isinstance(basis, Basis)]
    if not bases:
        return None
    return Basis(joint_basis(*(basis.outputs for basis in bases)), joint_basis(*(basis.inputs for basis in bases)))


def layer_update(
    recipe: Recipe,
    keys: Float[Tensor, "d_in b"],
    residual: Float[Tensor, "d_out b"],
    context: LayerContext,
    session: EditSession,
) -> LowRank:
    """The method's ΔW of one layer; in a guard-aware lane restricted to the unprotected directions."""
    method, basis = LayerMethod.of(recipe), protected(recipe, context.layer, context.weight, session)
    if basis is None:
        return method.update(keys, residual, context)
    inside = restricted(recipe, context, basis)
    return method.update(cleared(keys, basis.inputs), cleared(residual, basis.outputs), inside)


def restricted(recipe: Recipe, context: LayerContext, basis: Basis) -> LayerContext:
    """The restricted context: earlier keys without V; C0 as P C0 P + s V Vᵀ with s its mean variance, so that C0
    stays positive definite and its inverse does not mix the two parts."""
    blocked = basis.inputs
    settled = all(acting.needs != CURRENT for acting in recipe.guards)
    memo = PrefixedMemo(context.memo, (context.layer, "inside", recipe.guards)) if settled else {}
    setup = context.setup if settled else nullcontext  # what is computed again in every round is not set-up

    def build() -> Float[Tensor, "d_in d_in"]:
        moment = context.moment()
        inner = cleared(cleared(moment, blocked).T, blocked)
        return (inner + inner.T) / 2 + float(moment.diagonal().mean()) * (blocked @ blocked.T)

    inside = replace(
        context,
        history=cleared(context.history.double(), blocked),
        memo=memo,
        setup=setup,
        blocked=blocked,
        blocked_outputs=basis.outputs,
        whole=context,
    )
    return replace(inside, moment=lambda: inside.once(("moment",), build))


def cleared(columns: Float[Tensor, "d b"], blocked: Float[Tensor, "d k"]) -> Float[Tensor, "d b"]:
    """(I − VVᵀ) B, applied twice because of rounding errors."""
    for _ in range(2):
        columns = columns - blocked @ (blocked.T @ columns)
    return columns
