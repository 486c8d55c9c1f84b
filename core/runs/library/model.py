"""A model that is loaded once, for prompts or for several runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.models.generation import generate, next_tokens
from core.models.language_model import LanguageModel
from core.runs.engine.laboratory import Laboratory
from core.runs.library.results import Answer
from core.runs.spec.run_spec import RunSpec
from core.runs.worker.process import cache_home

WHICH = ("model", "device", "dtype", "chat")  # fields of a spec that say which model is loaded


class Model:
    """A loaded model. `lm` is the model itself, `laboratory` what was computed about it."""

    def __init__(self, laboratory: Laboratory, spec: RunSpec):
        self.laboratory, self.spec = laboratory, spec
        self.lm: LanguageModel = laboratory.model(spec, lambda line: print(line, file=sys.stderr))

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a spec that name this model."""
        return {name: getattr(self.spec, name) for name in WHICH}

    def ask(self, prompt: str, new_tokens: int = 20, top: int = 10) -> Answer:
        """The unedited model's answer to a prompt. Raises `UserError` for a prompt that is empty or too long."""
        with self.lm.worn({}):
            return ask(self.lm, prompt, new_tokens, top)

    def __repr__(self) -> str:
        lm = self.lm
        return f"<{lm.reference}: {lm.n_layers} layers of width {lm.d_model}, {lm.n_parameters:,} parameters>"


def load(model: str = "pocket", device: str = "auto", dtype: str = "auto", chat: bool = False) -> Model:
    """Load a model: "pocket", "smollm2", a hub id, a folder or a GGUF file. `lab.run` accepts it instead of a name, so
    that several runs share it. `chat` applies the tokenizer's chat template to prompts. Raises `UserError` if it cannot
    be loaded or edited."""
    fields = {"model": model, "device": device, "dtype": dtype, "chat": chat}
    spec = RunSpec.from_dict({**fields, "facts": {"source": "pocket"}, "lanes": [{"method": "memit"}]})
    return Model(Laboratory(cache_home(Path.cwd())), spec)


def ask(lm: LanguageModel, prompt: str, new_tokens: int, top: int) -> Answer:
    """The answer of the model with its current weights. Raises `UserError`."""
    if not prompt.strip():
        raise UserError("the prompt is empty; type the beginning of a sentence")
    room = lm.max_length - len(lm.encode(lm.asked(prompt)))
    if room < 1:
        raise UserError(f"the prompt is longer than the {lm.max_length:,} tokens that this model reads")
    text = generate(lm, [prompt], max(1, min(new_tokens, room)))[0]
    return Answer(prompt=prompt, text=text, next=next_tokens(lm, prompt, max(1, top)))
