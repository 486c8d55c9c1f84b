"""PMET's target values: two δ optimised together, one in the FFN's output and one in the attention's (PMET, §4.2).

Both act at the subject's last token in the last edited layer; only the FFN's becomes a target. Passes are partial
(`core.models.partial_forward`): they run from that layer on, with both δ added inside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from core.editing.failure import EditFailure
from core.editing.lane.method import Round
from core.editing.lane.results import Values
from core.editing.lane.session import Sampling
from core.editing.rounds.guard_aware import protected
from core.editing.values.adam import Adam
from core.editing.values.objective import Plan, make_task
from core.models.language_model import LanguageModel
from core.models.packing import RowBatch
from core.models.partial_forward import PartialForward

FFN, ATTENTION = 0, 1
ATTENTIONS = ("self_attn", "attn", "attention", "self_attention")


@runtime_checkable
class JointSettings(Sampling, Protocol):
    """The settings of the optimisation of two δ, in addition to those shared with MEMIT's."""

    @property
    def steps(self) -> int: ...
    @property
    def kl(self) -> float: ...
    @property
    def lr(self) -> float: ...
    @property
    def clamp(self) -> float: ...
    @property
    def relative_lr(self) -> bool: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def stop_loss(self) -> float: ...
    @property
    def eased(self) -> float: ...
    @property
    def enough_kl(self) -> float: ...
    @property
    def eos(self) -> bool: ...


def joint_values(round_: Round, config: JointSettings) -> Values:
    """z = (FFN's output at the subject of the bare prompt) + δ_FFN for each fact, on the lane's current model."""
    lm, layer = round_.lm, round_.recipe.layers[-1]
    if not 0 < layer < lm.n_layers - 1:
        raise EditFailure(
            f"PMET cannot take its values at layer {layer}: its last layer should be one of 1 to {lm.n_layers - 2}."
        )
    basis = protected(round_.recipe, layer, round_.state.sums[layer], round_.session)
    with lm.worn(round_.state.sums):
        descent = Joint(round_, layer, config, None if basis is None else basis.outputs)
        for step in range(config.steps):
            round_.beat()
            round_.tell("values", step + 1, config.steps)
            slope = descent.evaluate()
            bad = ~torch.isfinite(descent.loss) & descent.active
            if bool(bad.any()):
                fact = round_.facts[int(bad.nonzero()[0])]
                raise EditFailure(
                    f'The value of "{fact.text} {fact.target}" at layer {layer} is not finite at step {step}. Lower lr'
                    " or clamp, or load the model in float32."
                )
            descent.active &= ~descent.done()
            if step == config.steps - 1 or not bool(descent.active.any()):
                break
            descent.step(slope)
        return descent.values()


class Joint:
    """Adam on both δ of every fact at once: [b, 2, d], FFN first.

    loss = f · NLL + κ KL + w Σ ‖δ‖ / ‖h0‖² over both sites, h0 the clean outputs. f falls to `eased` while every
    target token is the most likely one in every context; a fact is done when its loss is below `stop_loss`, or when
    that is so and κ KL ≤ `enough_kl`.
    """

    def __init__(self, round_: Round, layer: int, config: JointSettings, blocked: Float[Tensor, "d k"] | None):
        lm, facts = round_.lm, round_.facts
        self.lm, self.layer, self.config, self.blocked = lm, layer, config, blocked
        self.task = make_task(lm, facts, round_.session.contexts(config), with_kl=config.kl > 0, eos=config.eos)
        self.forward = PartialForward(lm, self.task.rows, layer - 1, beat=round_.heartbeat)
        self.plans = [Plan(batch, self.task) for batch in self.forward.batches]
        self.clean: dict[int, Tensor] = {}  # by fact: log-probabilities of the unchanged model in the KL row
        kind: dict[str, Any] = {"dtype": lm.master_dtype, "device": lm.device}
        self.nothing = torch.zeros(len(facts), lm.d_model, **kind)
        self.delta = torch.zeros(len(facts), 2, lm.d_model, **kind)
        self.start = torch.zeros_like(self.delta)
        self.adam = Adam(config.lr, config.clamp, config.relative_lr, self.allowed)
        self.factor, self.kl, self.loss, self.first = (torch.ones(len(facts), **kind) for _ in range(4))
        self.said = torch.zeros(len(facts), dtype=torch.bool, device=lm.device)
        self.active = torch.ones(len(facts), dtype=torch.bool, device=lm.device)
        self.evaluations = torch.zeros(len(facts), dtype=torch.long, device=lm.device)

    def evaluate(self) -> Float[Tensor, "b 2 d"]:
        """The loss's gradient; the loss and the inputs of `done` are stored."""
        nll, kl = (torch.zeros_like(self.loss) for _ in range(2))
        slope, said = torch.zeros_like(self.delta), torch.ones_like(self.said)
        for batch, plan in zip(self.forward.batches, self.plans, strict=True):
            self.forward.beat()
            delta = self.delta.detach().requires_grad_()
            with torch.enable_grad():
                part_nll, part_kl = self.parts(batch, plan, delta, said)
                (part,) = torch.autograd.grad((self.factor * part_nll + self.config.kl * part_kl).sum(), delta)
            nll, kl, slope = nll + part_nll.detach(), kl + part_kl.detach(), slope + part
        size, radius = self.delta.norm(dim=2), self.start.norm(dim=2)
        loss = self.factor * nll + self.config.kl * kl + self.config.weight_decay * (size / radius**2).sum(1)
        least = torch.finfo(size.dtype).tiny
        slope += self.config.weight_decay * self.delta / (size.clamp(min=least) * radius**2)[..., None]
        self.loss = torch.where(self.active, loss, self.loss)
        if self.adam.taken == 0:
            self.first = self.loss.clone()
        self.kl, self.said = self.config.kl * kl, said
        self.evaluations += self.active
        return slope

    def parts(
        self, batch: RowBatch, plan: Plan, delta: Float[Tensor, "b 2 d"], said: Tensor
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """A batch's part of each fact's NLL and KL. `said` becomes False for facts with a target token that is not
        the arg-max."""
        with inside(self.lm, self.layer, batch, delta) as seen:
            logits = self.forward.logits(batch, self.nothing[batch.owners])
        if self.adam.taken == 0:
            owner_of = {row: owner for owner, row in enumerate(self.task.bare)}
            for r, row in enumerate(batch.rows):
                if row in owner_of:
                    self.start[owner_of[row]] = torch.stack([seen[FFN][r], seen[ATTENTION][r]])
        nll, kl = delta.new_zeros(len(delta)), delta.new_zeros(len(delta))
        if len(plan.answers):
            each = F.cross_entropy(logits[plan.answers], plan.wanted, reduction="none")
            owners = batch.owners[batch.read_rows[plan.answers]]
            nll = nll.index_add(0, owners, each * plan.share.to(each.dtype))
            wrong = logits[plan.answers].argmax(1) != plan.wanted
            said[owners[wrong]] = False
        if len(plan.stubs):
            log_p, owners = logits[plan.stubs].log_softmax(1), batch.owners[batch.read_rows[plan.stubs]]
            if self.adam.taken == 0:
                self.clean.update(zip(owners.tolist(), log_p.detach(), strict=True))
            clean = torch.stack([self.clean[owner] for owner in owners.tolist()])
            each = F.kl_div(clean, log_p, reduction="none", log_target=True).sum(1)
            kl = kl.index_add(0, owners, each)
        return nll, kl

    def done(self) -> Tensor:
        """Facts that need no further step; sets the factor of the others for the next evaluation."""
        self.factor = torch.ones_like(self.factor).masked_fill(self.said, self.config.eased)
        return (self.loss < self.config.stop_loss) | (self.said & (self.kl <= self.config.enough_kl))

    def step(self, slope: Float[Tensor, "b 2 d"]) -> None:
        """One step of Adam for the facts that are not done, and the projection of each δ to its ball."""
        self.delta = self.adam.step(self.delta, slope, self.start.norm(dim=2, keepdim=True), self.active)

    def allowed(self, rows: Float[Tensor, "b 2 d"]) -> Float[Tensor, "b 2 d"]:
        """Both δ; the FFN's without its part along the directions that the lane's guards protect."""
        if self.blocked is None:
            return rows
        blocked, ffn = self.blocked.to(rows.dtype), rows[:, FFN]
        return torch.stack([ffn - (ffn @ blocked) @ blocked.T, rows[:, ATTENTION]], 1)

    def values(self) -> Values:
        """The target values of the FFN's output, in float64, facts as columns."""
        start, delta = (
            part[:, FFN].double().T.contiguous() for part in (self.start, self.allowed(self.delta.double()))
        )
        return Values(
            start + delta, delta, start, self.first.double().cpu(), self.loss.double().cpu(), self.evaluations.cpu()
        )


@contextmanager
def inside(
    lm: LanguageModel, layer: int, batch: RowBatch, delta: Float[Tensor, "b 2 d"]
) -> Iterator[dict[int, Float[Tensor, "n d"]]]:
    """Adds the two δ of each row's owner, at the row's cut, to the outputs of the layer's FFN and attention.
    Gives these outputs as they were without δ, as far as the pass went."""
    owners: Int[Tensor, " n"] = batch.owners
    seen: dict[int, Tensor] = {}

    def adding(site: int) -> Any:
        def add(_: object, __: tuple, output: Tensor | tuple) -> Tensor | tuple:
            first = output[0] if isinstance(output, tuple) else output
            states = first.reshape(*batch.ids.shape, -1)  # some FFNs flatten rows and tokens
            seen[site] = batch.at_cuts(states).detach().to(delta.dtype)
            changed = batch.added(states, delta[owners, site]).reshape(first.shape)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return add

    handles = [
        lm.ffn_end(layer).register_forward_hook(adding(FFN)),
        attention(lm, layer).register_forward_hook(adding(ATTENTION)),
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def attention(lm: LanguageModel, layer: int) -> nn.Module:
    """The attention module of a layer, by its name. Raises `EditFailure` if none of the known names exists."""
    for name, part in lm.layers[layer].named_children():
        if name in ATTENTIONS:
            return part
    raise EditFailure(f"PMET needs the attention of layer {layer}; none of {', '.join(ATTENTIONS)} is there.")
