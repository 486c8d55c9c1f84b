"""Gauss-Newton steps on many vectors at once, each separately and within its own ball.

In each context c the loss NLL_c = log(1 + e^−m_c) defines a margin m_c, that of the target against everything else.
Margins are far closer to linear in δ than losses are: a step aims at the margins at which each NLL_c is a part of
`stop_loss`, and at a KL of 0, by least squares on their linear models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float

from core.editing.values.adam import within
from core.lazy import torch

if TYPE_CHECKING:
    from core.editing.values.objective import Evaluation, Objective

AIM = 0.2  # of `stop_loss`: the NLL that a step aims at in each context; the rest is left to the KL
RIDGE = 0.01  # of the mean ‖∇m_c‖², in front of ‖s‖²: the contexts' gradients are similar
FIRST = 0.2  # ‖step‖ / ‖h0‖ at most, at first
LEAST = 1e-9  # NLL and KL below this have no direction


class GaussNewton:
    """min over s of Σ_c (∇m_c·s − Δm_c)² + (∇ρ·s + ρ)² + ε‖s‖², ρ = √(2κ KL) (Levenberg, 1944; Marquardt, 1963).

    ‖s‖ is at most a trust radius. After a step that lowered the loss it is at least twice that step, after one that
    raised it a quarter of it: then the fact goes back to its best δ and takes the shorter step from there. δ stays
    within `clamp` · ‖h0‖. `allowed` projects gradients.
    """

    def __init__(
        self,
        clamp: float,
        stop_loss: float,
        allowed: Callable[[Float[torch.Tensor, "*n d"]], Float[torch.Tensor, "*n d"]],
    ):
        self.clamp, self.aim, self.allowed = clamp, max(AIM * stop_loss, LEAST), allowed
        self.best: Float[torch.Tensor, " b"] | None = None
        self.place = self.step_from = self.trust = torch.empty(0)

    def next(
        self,
        objective: Objective,
        delta: Float[torch.Tensor, "b d"],
        found: Evaluation,
        loss: Float[torch.Tensor, " b"],
        active: Bool[torch.Tensor, " b"],
    ) -> Float[torch.Tensor, "b d"]:
        """δ at which to evaluate next; facts that are not active keep theirs."""
        step = self.allowed(self.direction(found))
        if self.best is None:
            self.best, self.place, self.step_from = loss, delta, step
            self.trust = torch.full_like(objective.radius, FIRST)
        else:
            better, taken = loss < self.best, (delta - self.place).norm(dim=1, keepdim=True) / objective.radius
            self.trust = torch.where(better[:, None], torch.maximum(self.trust, 2 * taken), taken / 4)
            self.best = torch.where(better, loss, self.best)
            self.place = torch.where(better[:, None], delta, self.place)
            self.step_from = torch.where(better[:, None], step, self.step_from)
        moved = self.place + within(self.step_from, self.trust * objective.radius)
        return torch.where(active[:, None], within(moved, self.clamp * objective.radius), delta)

    def chosen(
        self, delta: Float[torch.Tensor, "b d"], loss: Float[torch.Tensor, " b"]
    ) -> tuple[Float[torch.Tensor, "b d"], Float[torch.Tensor, " b"]]:
        """The best δ of each fact, if the last one is not."""
        if self.best is None:
            return delta, loss
        worse = loss > self.best
        return torch.where(worse[:, None], self.place, delta), torch.where(worse, self.best, loss)

    def direction(self, found: Evaluation) -> Float[torch.Tensor, "b d"]:
        """s, without a limit on its length."""
        contexts = found.parts.shape[1] - 1
        nll = (found.parts[:, :-1] * contexts).clamp(min=LEAST)
        rising = -torch.expm1(-nll)  # −dNLL/dm
        margins = -contexts * found.slopes[:, :-1] / rising[..., None]
        missing = (log_expm1(nll) - log_expm1(torch.full_like(nll, self.aim))).clamp(min=0)
        spread = (2 * found.parts[:, -1].clamp(min=0)).sqrt()
        tilt = found.slopes[:, -1] / spread.clamp(min=LEAST**0.5)[:, None]
        rows = torch.cat([margins, tilt[:, None]], 1).double()
        wanted = torch.cat([missing, -spread[:, None]], 1).double()
        gram = rows @ rows.mT
        ridge = RIDGE * gram.diagonal(dim1=1, dim2=2)[:, :-1].mean(1)
        gram = gram + torch.diag_embed(ridge[:, None].expand_as(wanted).clamp(min=torch.finfo(gram.dtype).tiny))
        weights = torch.cholesky_solve(wanted[..., None], torch.linalg.cholesky(gram))
        return (rows.mT @ weights)[..., 0].to(nll.dtype)


def log_expm1(nll: Float[torch.Tensor, "*n"]) -> Float[torch.Tensor, "*n"]:
    """log(e^x − 1) = −m, without overflow."""
    return nll + torch.log(-torch.expm1(-nll))
