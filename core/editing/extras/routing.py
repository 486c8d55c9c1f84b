"""Branches of a lane that some prompts take: one decision where a prompt ends, which holds for all that follows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

NONE = -1  # of a prompt that takes no branch: the model is the base model for it
Decide = Callable[[Float[Tensor, "q d"]], Int[Tensor, " q"]]


def flat(states: Float[Tensor, "*_ d"]) -> Float[Tensor, "n d"]:
    """Rows and tokens as one dimension."""
    return states.reshape(-1, states.shape[-1])


def decide(lm: Any, name: str, states: Float[Tensor, "n d"], choose: Decide) -> Int[Tensor, " n"] | None:
    """Decide where the prompts of this pass end, from the states of its tokens, and keep it under `name`.

    A pass over plain text has no prompts: the result then is the branch of each token, which is decided by itself.
    """
    if lm.asking is None:
        return choose(states)
    if len(lm.asking.ends):
        lm.asking.decided[name] = choose(states[lm.asking.ends])
    return None


def routed(lm: Any, name: str, alone: Int[Tensor, " n"] | None) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """(flat places of the tokens that take a branch, its number): the ends of prompts and the tokens after them.

    Tokens before a prompt's end were read before the decision; a cache keeps them as they are. `alone` are the branches
    of a pass over plain text.
    """
    asking = lm.asking
    if asking is None:
        branch = torch.zeros(0, dtype=torch.long) if alone is None else alone
        at = torch.arange(len(branch), device=branch.device)
    else:
        of_prompt = asking.decided.get(name)
        if of_prompt is None:
            return asking.ends[:0], asking.ends[:0]
        ends = torch.arange(len(asking.ends), device=of_prompt.device)
        at, branch = torch.cat([asking.ends, asking.following]), of_prompt[torch.cat([ends, asking.owners])]
    taken = branch != NONE
    return at[taken], branch[taken]


def moved(
    output: Float[Tensor, "*_ d_out"], at: Int[Tensor, " m"], change: Float[Tensor, "m d_out"]
) -> Float[Tensor, "*_ d_out"]:
    """The output with these rows added at flat places. A place may occur more than once, always with the same row."""
    rows = flat(output)
    return rows.index_put((at,), rows[at] + change.to(rows.dtype)).view_as(output)
