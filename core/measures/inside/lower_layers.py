"""A cache of the layers below the lowest edited one: their states are the same in every round and lane.

Measures run the same texts again and again, in the same batches. So the output of those layers is cached by batch, and
these layers are skipped the next time. The cached tensors are those that the layers would compute again, so numbers are
equal bit for bit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core.models.hooks import skipping_layers
from core.models.language_model import LanguageModel

MOST_BYTES = 512 * 2**20
PLAIN = {"input_ids", "attention_mask", "use_cache"}  # arguments of a pass that pads on the right and starts anew
PACKED = PLAIN | {"position_ids"}  # of one of packs, whose mask follows from ids and positions

Key = tuple[torch.Size, bytes, bytes]
States = Tensor | tuple[Tensor, ...]


@dataclass
class LowerLayers:
    """Caches the output of layer `first` − 1 for the batches seen inside `remembered`.

    `first` is the lowest layer that any edit changes; with 0 there is nothing to cache. The least recently used batches
    are dropped beyond `most_bytes`.
    """

    lm: LanguageModel
    first: int
    most_bytes: int = MOST_BYTES
    states: OrderedDict[Key, States] = field(default_factory=OrderedDict)
    active: bool = False
    hits: int = 0

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Inside the block, plain passes of the model run its lower layers only for batches that were not seen
        before."""
        if self.first == 0:
            yield
            return
        open_pass = ExitStack()

        def before(_: nn.Module, __: tuple, inputs: Mapping[str, Any]) -> None:
            if not self.active or set(inputs) not in (PLAIN, PACKED) or inputs["use_cache"]:
                return
            ids, positions = inputs["input_ids"], inputs.get("position_ids")
            key = ids.shape, _bytes_of(ids), _bytes_of(positions) if positions is not None else b""
            if key in self.states:
                self.hits += 1
                self.states.move_to_end(key)
                open_pass.enter_context(skipping_layers(self.lm, self.first - 1, self.states[key]))
            else:
                handle = self.lm.layers[self.first - 1].register_forward_hook(
                    lambda _, __, states: self._keep(key, states)
                )
                open_pass.callback(handle.remove)

        def after(*_: Any) -> None:
            open_pass.close()

        handles = [
            self.lm.model.register_forward_pre_hook(before, with_kwargs=True),
            self.lm.model.register_forward_hook(after, always_call=True),
        ]
        self.active = True
        try:
            yield
        finally:
            self.active = False
            for handle in handles:
                handle.remove()
            open_pass.close()

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Inside the block, the model runs all layers: for a heartbeat, which may set edited weights in any layer."""
        active, self.active = self.active, False
        try:
            yield
        finally:
            self.active = active

    def _keep(self, key: Key, states: States) -> None:
        self.states[key] = states
        while len(self.states) > 1 and sum(map(_bytes, self.states.values())) > self.most_bytes:
            self.states.popitem(last=False)


def _bytes_of(numbers: Tensor) -> bytes:
    return numbers.cpu().numpy().tobytes()


def _bytes(states: States) -> int:
    tensor = states[0] if isinstance(states, tuple) else states
    return tensor.numel() * tensor.element_size()
