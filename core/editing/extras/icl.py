"""The edited fact before the prompt, for those prompts that it belongs to: the upper reference of retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from core.editing.extras.blocks import items
from core.models.worn import Extra

FACTS = "icl.facts"  # blocks of items {"sentence", "prompts"}


class Told(Extra):
    """Puts a sentence before each prompt that is listed with it; other prompts stay as they are."""

    def __init__(self, sentences: Mapping[str, str]):
        self.sentences = sentences

    @classmethod
    def of(cls, memory: Mapping[str, Tensor]) -> Told:
        """The sentences by prompt; of two with the same prompt, the later one."""
        return cls({prompt: item["sentence"] for item in items(memory, FACTS) for prompt in item["prompts"]})

    def asked(self, lm: Any, prompts: Sequence[str]) -> list[str]:
        """The sentence, a space, and the prompt."""
        return [f"{self.sentences[prompt]} {prompt}" if prompt in self.sentences else prompt for prompt in prompts]


EXTRA = Told
