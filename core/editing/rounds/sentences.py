"""The memory of a retrieval lane: sentences, their vectors, and the settings of the retriever."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from core.editing.extras.blocks import block, items, packed
from core.editing.extras.retrievers import STATES, mean_states
from core.editing.extras.scr import CENTER, FACTS, SETTINGS, VECTORS
from core.editing.lane.contexts import sample_contexts
from core.editing.lane.method import Round
from core.editing.rounds.remembered import listed, text_of
from core.editing.settings.parameters import values
from core.models.forward import score

LOOKED_AT = 50  # facts by which it is tried whether the model reads its context
NEUTRAL, LENGTH = 32, 16  # texts that the unedited model writes, and their tokens: their mean state is subtracted


def read(round_: Round, texts: Sequence[str]) -> list[str]:
    """A note, in the lane's first round, on how many targets the unedited model gives with these sentences, the facts'
    own, before the prompts: no retrieval can give more."""
    lm, facts = round_.lm, round_.facts[:LOOKED_AT]
    if any(name.rpartition(".")[0].endswith(".facts") for name in round_.state.memory) or not facts:
        return []
    prompts = [f"{text} {fact.text}" for text, fact in zip(texts, facts, strict=False)]
    with lm.worn({}):
        given = int(score(lm, prompts, [fact.target for fact in facts], beat=round_.heartbeat).exact.sum())
    note = f"With the fact itself before the prompt the unedited model gives {given} of {len(facts)} new objects."
    return [note + ("" if 2 * given >= len(facts) else " It hardly reads its context: retrieval cannot help it.")]


def memory_of(round_: Round, config: Any) -> dict[str, Tensor]:
    """What the round adds to the memory. `config` has the fields of `methods.scr.Scr`."""
    before = round_.state.memory
    new = [{"prompt": f.text, "sentence": text_of(f, config.texts), "subject": f.subject} for f in round_.facts]
    memory = listed(before, FACTS, new)
    memory[SETTINGS] = packed({name: value for name, value in values(config).items() if name != "layers"})
    if config.retriever == STATES:
        round_.beat()
        memory[block(VECTORS, len(items(before, FACTS)))] = mean_states(round_.lm, [row["sentence"] for row in new])
        if CENTER not in before:
            texts = round_.once("scr.neutral", lambda: sample_contexts(round_.lm, round_.session.seed, NEUTRAL, LENGTH))
            memory[CENTER] = mean_states(round_.lm, texts).mean(0)
    return memory
