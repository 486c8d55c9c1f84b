"""Target values: the loss is the one written down, descent lowers it, the clamp holds, facts are alone."""

import math

import pytest
import torch
from torch.nn import functional as F

from core.editing.failure import EditFailure
from core.editing.lane.contexts import prefixes
from core.editing.methods.memit import Memit
from core.editing.values.gauss_newton import AIM, FIRST, RIDGE
from core.editing.values.optimise import Problem, optimise_values
from core.models.tokens import answer_ids, slot_last
from tests.editing.common import FACTS

CONTEXTS = ["The river runs", "I like Rome"]
SETTINGS = {"lr": 0.02, "clamp": 4.0, "weight_decay": 0.3, "kl": 0.5, "steps": 6}
LAYER = 2


def run(lm, ids, cut, delta):
    """Logits of one row through the whole model with δ added at `cut` after LAYER, and the clean state there."""
    clean = []

    def add(_, __, output):
        states = output.clone()
        clean.append(states[0, cut].clone())
        states[0, cut] += delta
        return states

    handle = lm.layers[LAYER].register_forward_hook(add)
    logits = lm.model(torch.tensor([ids]), use_cache=False).logits[0]
    handle.remove()
    return logits, clean[0]


def slow_parts(lm, fact, delta):
    """(NLL in each context, KL, the clean state) of one fact, one row at a time."""
    nll = []
    for prefix in prefixes(CONTEXTS):
        text, cut = slot_last(lm.tokenizer, fact.prompt, fact.subject, prefix)
        ids, target = lm.encode(text), answer_ids(lm.tokenizer, text, fact.target)
        logits, state = run(lm, ids + target[:-1], cut, delta)
        nll.append(F.cross_entropy(logits[len(ids) - 1 :], torch.tensor(target)))
        if not prefix:
            start = state
    text, cut = slot_last(lm.tokenizer, "{} is a", fact.subject)
    edited = run(lm, lm.encode(text), cut, delta)[0][cut].log_softmax(0)
    original = run(lm, lm.encode(text), cut, torch.zeros_like(delta))[0][cut].log_softmax(0)
    return nll, (edited.exp() * (edited - original)).sum(), start


def slow_loss(lm, fact, delta, config):
    """The loss of one fact as the specification writes it."""
    nll, kl, start = slow_parts(lm, fact, delta)
    loss = torch.stack(nll).mean() + config.kl * kl + config.weight_decay * delta.norm() / start.norm() ** 2
    return loss, start


def slow_values(lm, fact, config):
    """torch's own Adam on the plain loss of one fact."""
    delta = torch.zeros(lm.d_model, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([delta], lr=config.lr)
    losses = []
    for step in range(config.steps):
        loss, start = slow_loss(lm, fact, delta, config)
        losses.append(loss.item())
        if loss.item() < config.stop_loss or step == config.steps - 1:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            most = config.clamp * start.norm()
            if delta.norm() > most:
                delta.mul_(most / delta.norm())
    return delta.detach(), losses


@pytest.mark.parametrize("clamp", [4.0, 0.05], ids=["wide", "clamped"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_values_equal_a_slow_optimisation_of_each_fact(toy, family, clamp):
    lm = toy(family, "float64")
    config = Memit(**{**SETTINGS, "clamp": clamp})
    found = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), config, budget=100)
    for column, fact in enumerate(FACTS):
        delta, losses = slow_values(lm, fact, config)
        torch.testing.assert_close(found.delta[:, column], delta, rtol=1e-7, atol=1e-9)
        assert float(found.loss_start[column]) == pytest.approx(losses[0], rel=1e-9)
        assert float(found.loss[column]) == pytest.approx(losses[-1], rel=1e-8)
        assert int(found.steps[column]) == len(losses)
    assert bool((found.size <= clamp * (1 + 1e-9)).all())


def test_facts_that_are_done_stop_and_the_others_go_on(toy):
    lm = toy("llama", "float64")
    config = Memit(**{**SETTINGS, "steps": 12})
    ends = sorted(optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), config).loss.tolist())
    config = Memit(**{**SETTINGS, "steps": 12, "stop_loss": (ends[0] + ends[-1]) / 2})
    found = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), config)
    slow = [slow_values(lm, fact, config) for fact in FACTS]
    assert found.steps.tolist() == [len(losses) for _, losses in slow]
    assert len(set(found.steps.tolist())) > 1
    for column, (delta, _) in enumerate(slow):
        torch.testing.assert_close(found.delta[:, column], delta, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("relative", [False, True])
def test_the_loss_falls_and_the_clamp_holds(lm, relative):
    config = Memit(lr=0.3 if relative else 0.5, relative_lr=relative, clamp=1.5, weight_decay=0.0, steps=20)
    found = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), config)
    assert bool((found.loss < found.loss_start - 0.1).all())
    assert bool((found.size <= 1.5 + 1e-6).all())
    torch.testing.assert_close(found.target, found.start + found.delta)


def test_one_evaluation_takes_no_step(lm):
    found = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), Memit(steps=1))
    assert float(found.delta.abs().max()) == 0
    assert torch.equal(found.loss, found.loss_start)


@pytest.mark.parametrize("kl", [0.0, 0.5])
def test_a_fact_does_not_depend_on_who_else_is_in_the_round(toy, kl):
    lm = toy("llama", "float64")
    config = Memit(**{**SETTINGS, "relative_lr": True, "lr": 0.3, "kl": kl})
    together = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), config)
    for column, fact in enumerate(FACTS):
        alone = optimise_values(Problem(lm, [fact], LAYER, CONTEXTS), config)
        torch.testing.assert_close(together.delta[:, [column]], alone.delta, rtol=1e-8, atol=1e-10)


def test_the_worn_weights_are_what_is_edited(lm):
    config = Memit(**SETTINGS)
    plain = optimise_values(Problem(lm, FACTS, LAYER, []), config)
    with lm.worn({1: lm.original(1) * 2}):
        worn = optimise_values(Problem(lm, FACTS, LAYER, []), config)
    assert not torch.allclose(plain.start, worn.start)


def test_other_weights_may_be_worn_in_a_heartbeat(lm):
    config = Memit(**SETTINGS)
    beats = []

    def beat():
        beats.append(1)
        with lm.worn({1: lm.original(1) * 2}), torch.no_grad():
            lm.model(torch.tensor([[1, 2, 3]]))

    quiet = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), config)
    beaten = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), config, beat)
    assert len(beats) == 1 + 2 * config.steps  # the pass before the first; each evaluation, and its one batch
    assert torch.equal(quiet.delta, beaten.delta)


def test_numbers_that_break_name_the_fact(lm):
    broken = {1: torch.full_like(lm.original(1), float("nan"))}
    with lm.worn(broken), pytest.raises(EditFailure, match=r"capital of France is Rome.*layer 2.*Lower lr"):
        optimise_values(Problem(lm, FACTS, LAYER, []), Memit(**SETTINGS))


def slow_step(lm, fact, delta, config):
    """The least squares of a Gauss-Newton step in all of δ's dimensions, from gradients of each margin by itself."""
    at = delta.clone().requires_grad_()
    nll, kl, _ = slow_parts(lm, fact, at)
    margins = [-torch.log(torch.expm1(each)) for each in nll]
    goal = -math.log(math.expm1(AIM * config.stop_loss))
    wanted = [max(0.0, goal - m.item()) for m in margins]
    rows = [torch.autograd.grad(m, at, retain_graph=True)[0] for m in margins]
    ridge = RIDGE * sum((row @ row).item() for row in rows) / len(rows)
    if kl.item() > 1e-9:
        spread = (2 * config.kl * kl).sqrt()
        rows.append(torch.autograd.grad(spread, at)[0])
        wanted.append(-spread.item())
    matrix, right = torch.stack(rows), torch.tensor(wanted, dtype=torch.float64)
    normal = matrix.T @ matrix + ridge * torch.eye(len(delta), dtype=torch.float64)
    return torch.linalg.solve(normal, matrix.T @ right)


def shortened(vector, most):
    return vector * min(1.0, float(most / vector.norm()))


def slow_gauss_newton(lm, fact, config):
    """Gauss-Newton steps of one fact: (δ, its loss, whether a step was taken back)."""
    delta = torch.zeros(lm.d_model, dtype=torch.float64)
    best, back, trust = None, False, FIRST
    for step in range(config.steps):
        loss, start = slow_loss(lm, fact, delta, config)
        loss, size = float(loss), float(start.norm())
        if best is None or loss < best[0]:
            taken = 0.0 if best is None else float((delta - best[1]).norm()) / size
            trust, best = max(trust, 2 * taken), (loss, delta, slow_step(lm, fact, delta, config))
        else:
            trust, back = float((delta - best[1]).norm()) / size / 4, True
        if loss < config.stop_loss or step == config.steps - 1:
            break
        delta = shortened(best[1] + shortened(best[2], trust * size), config.clamp * size)
    return best[1], best[0], back


@pytest.mark.parametrize("clamp", [4.0, 0.3], ids=["wide", "clamped"])
def test_gauss_newton_steps_equal_those_of_a_slow_version(toy, clamp):
    lm = toy("gpt2", "float64")
    config = Memit(**{**SETTINGS, "clamp": clamp, "steps": 8, "optimizer": "gauss_newton"})
    found = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), config)
    backs = []
    for column, fact in enumerate(FACTS):
        delta, loss, back = slow_gauss_newton(lm, fact, config)
        backs.append(back)
        torch.testing.assert_close(found.delta[:, column], delta, rtol=1e-5, atol=1e-7)
        assert float(found.loss[column]) == pytest.approx(loss, rel=1e-6)
    assert bool((found.size <= clamp * (1 + 1e-9)).all())
    assert clamp > 1 or any(backs)  # at the border of a small ball steps overshoot: taken back here as well


def test_gauss_newton_gets_further_than_adam_with_as_many_evaluations(toy):
    lm = toy("llama", "float64")
    usual = {"clamp": 4.0, "weight_decay": 0.0, "lr": 0.1, "relative_lr": True, "steps": 6}
    adam = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), Memit(**usual))
    found = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS), Memit(**usual, optimizer="gauss_newton"))
    assert bool((found.loss < adam.loss).all())
    assert float(found.loss.mean()) < float(adam.loss.mean()) - 0.2


def test_gauss_newton_stays_orthogonal_to_blocked_directions(toy):
    lm = toy("llama", "float64")
    blocked = torch.linalg.qr(
        torch.randn(lm.d_model, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )[0]
    config = Memit(**{**SETTINGS, "optimizer": "gauss_newton"})
    found = optimise_values(Problem(lm, FACTS, LAYER, CONTEXTS, blocked=blocked), config)
    torch.testing.assert_close(blocked.T @ found.delta, torch.zeros(3, len(FACTS), dtype=torch.float64))
    assert bool((found.loss < found.loss_start).all())
