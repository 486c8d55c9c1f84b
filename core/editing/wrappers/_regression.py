"""SimIE's regression: a lane's weights fit the effect of a method's single-round edits on the keys of their texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from core.editing.failure import EditFailure
from core.editing.history.folding import fold
from core.editing.lane.method import Round
from core.editing.lane.results import RoundUpdate
from core.editing.lane.state import LaneState
from core.editing.layer_context import LayerContext
from core.editing.linalg.lowrank import LowRank, added, narrow
from core.editing.linalg.metric import Dense
from core.editing.rounds.spread import passed, removed
from core.facts.fact import Fact
from core.models.forward import captured_batches
from core.models.language_model import LanguageModel
from core.models.tokens import answer_ids

BLOCK = 512  # columns that join the sum of K Kᵀ at a time


def regressed(round_: Round, initial: bool, ridge: float) -> RoundUpdate:
    """The round's update; `keys` are those of all tokens. Residuals are the wrapped edit's, around its own updates."""
    lm, recipe, session = round_.lm, round_.recipe, round_.session
    layers = recipe.layers
    start = LaneState.base(lm, layers)
    if not initial:
        start = replace(start, weights=dict(round_.state.sums), sums=dict(round_.state.sums))
    bare = replace(recipe, wrapper=None, guards=(), guard_names=())
    edit = recipe.method.edit(replace(round_, recipe=bare, state=start))
    with session.watch.phase("solve"):
        with session.watch.phase("keys"):
            keys_of = token_keys(lm, round_.facts, list(edit.updates), start.sums, round_.heartbeat)
        updates, raw, shares, keys_by_layer = {}, {}, {}, {}
        for layer, delta in edit.updates.items():
            before, keys = round_.state.sums[layer], keys_of[layer]
            context = session.context(layer, before, round_.state.history[layer], recipe.prior)
            change = added(start.sums[layer].double(), delta.to(torch.float64)) - before.double()
            try:
                wide = narrow(LowRank(change @ keys, regression_metric(context, ridge).solve_with_keys(keys)))
            except EditFailure as failure:  # its columns are tokens, and its levers the wrapper's
                advice = "Use a larger lambda of the wrapper, or load the model in float32."
                raise EditFailure(f"{failure} {advice}") from None
            if not bool(torch.isfinite(wide.left).all() and torch.isfinite(wide.right).all()):
                raise EditFailure(
                    f'The edit of "{round_.facts[0].text} {round_.facts[0].target}" and its round at layer {layer} is'
                    " not finite after SimIE's regression. Use a larger lambda of the wrapper, or float32."
                )
            with session.watch.phase("guard"):
                guarded = passed(wide, recipe.update_guards, session, layer, before)
            updates[layer], raw[layer] = guarded.to(before.dtype), wide.to(before.dtype)
            shares[layer], keys_by_layer[layer] = removed(wide, guarded), keys.to(before.dtype)
    return replace(edit, updates=updates, raw=raw, removed_share=shares, keys=keys_by_layer)


def regression_metric(context: LayerContext, weight: float) -> Dense:
    """P_{t−1} = λ I + Σ K Kᵀ of a layer's earlier rounds, by its Cholesky factor."""
    history = context.history
    size = history.shape[0]
    nothing = torch.zeros(size, size, dtype=torch.float64, device=history.device)
    total, rest = fold(
        context.once(("seen tokens",), list), history, BLOCK, nothing, lambda sum_, part: sum_ + part @ part.T
    )
    matrix = total + rest @ rest.T
    matrix.diagonal().add_(weight)
    return Dense(matrix, context.layer)


@torch.no_grad()
def token_keys(
    lm: LanguageModel,
    facts: Sequence[Fact],
    layers: Sequence[int],
    weights: Mapping[int, Float[Tensor, "d_out d_in"]],
    beat: Callable[[], None] | None = None,
) -> dict[int, Float[Tensor, "d_in n"]]:
    """The keys of layers at all tokens of prompt and target, fact by fact, of the model in these weights; float64."""
    prompts = [lm.asked(fact.text) for fact in facts]
    pairs = zip(prompts, facts, strict=True)
    rows = [[*lm.encode(prompt), *answer_ids(lm.tokenizer, prompt, fact.target)] for prompt, fact in pairs]
    parts: dict[int, dict[int, Tensor]] = {layer: {} for layer in layers}
    with lm.worn(weights):
        for indices, states, lengths in captured_batches(lm, rows, [("key", layer) for layer in layers]):
            if beat is not None:
                beat()
            for layer in layers:
                for place, (index, length) in enumerate(zip(indices, lengths, strict=True)):
                    parts[layer][index] = states["key", layer][place, :length].double()
    return {layer: torch.cat([columns[i] for i in range(len(rows))]).T.contiguous() for layer, columns in parts.items()}
