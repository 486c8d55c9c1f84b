"""A round's edit says which step and which layer begins, and is the same whether anybody listens."""

import torch

from core.editing.lane.state import LaneState
from core.editing.rounds.edit_round import edit_round
from tests.editing.common import FACTS, recipe_of, session_of


def test_steps_and_layers_are_told_in_their_order(lm):
    session, recipe = session_of(lm), recipe_of(lm, steps=5, stop_loss=0.0)
    state, told = LaneState.base(lm, recipe.layers), []
    silent = edit_round(lm, state, FACTS, recipe, session)
    found = edit_round(lm, state, FACTS, recipe, session, progress=lambda *step: told.append(step))
    assert told == [("values", step, 5) for step in range(1, 6)] + [("layers", layer, 3) for layer in (1, 2, 3)]
    assert all(torch.equal(found.updates[i].left, silent.updates[i].left) for i in recipe.layers)
