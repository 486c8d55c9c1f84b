"""Checks that the loaded model is the one in the checkpoint: all weights, finite, causal, with its own tokenizer."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassFieldValidationError
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.errors import UserError
from core.json_text import JsonError, loads
from core.models.anatomy import embedded

LISTED = 4  # names in a message
SEEN_EARLIER = 1e-3  # of the spread of its logits: a causal model's change from later tokens is below this


def check_report(reference: str, report: Mapping[str, Any]) -> list[str]:
    """Raises `UserError` for weights that the checkpoint lacks or has in another shape: transformers would initialise
    them at random. Returns notes on additional weights.

    `report` is the loading report that `from_pretrained(…, output_loading_info=True)` gives.
    """
    if missing := report.get("missing_keys"):
        raise UserError(
            f"The checkpoint of {reference} lacks {listed(missing)}: random numbers would stand there. Fetch or save it"
            " anew, with its language-modelling head and all layers that config.json tells of."
        )
    if mismatched := report.get("mismatched_keys"):
        shapes = [f"{name} ({tuple(actual)}, not {tuple(expected)})" for name, actual, expected in mismatched]
        raise UserError(
            f"The checkpoint of {reference} does not fit its config.json: {listed(shapes)}. Take both from one place."
        )
    if unexpected := report.get("unexpected_keys"):
        return [f"The checkpoint of {reference} holds weights that its model does not have: {listed(unexpected)}."]
    return []


def check_finite(reference: str, model: nn.Module) -> None:
    """Raises `UserError` if any weight is NaN or infinite."""
    broken = [n for n, p in model.named_parameters() if p.is_floating_point() and not bool(torch.isfinite(p).all())]
    if broken:
        raise UserError(
            f"The weights of {reference} hold NaN or infinite numbers in {listed(broken)}: fetch or save the checkpoint"
            " anew, or load it in a wider type."
        )


def check_words(reference: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raises `UserError` if the tokenizer has tokens for which the model has no embedding.

    Special tokens past the end are accepted, since no text contains them (Gemma 3 has one for images).
    """
    rows = embedded(model)
    special = set(tokenizer.all_special_tokens)
    special |= {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    past = [token for token, number in tokenizer.get_vocab().items() if number >= rows and token not in special]
    if past:
        raise UserError(
            f"The tokenizer of {reference} has {len(past):,} tokens that the model has no embedding for"
            f" ({rows:,} rows): {listed(past)}. Take model and tokenizer from one place, or save the model after"
            " resize_token_embeddings(len(tokenizer))."
        )


@torch.no_grad()
def check_causal(reference: str, model: PreTrainedModel) -> None:
    """Raises `UserError` for a model in which earlier tokens attend to later ones: an encoder such as BERT."""
    rows, device = embedded(model), next(model.parameters()).device
    first = torch.arange(1, 7, device=device)[None] % rows
    second = first.clone()
    second[0, -1] = (second[0, -1] + 1) % rows
    try:
        before, after = (model(input_ids=ids, use_cache=False).logits[0, :-1].float() for ids in (first, second))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, NotImplementedError) as error:
        raise UserError(
            f"{reference} ({type(model).__name__}) cannot be run on text alone: {error}. Give a causal language model."
        ) from error
    if float((before - after).abs().max()) > SEEN_EARLIER * float(before.std()):
        raise UserError(
            f"{reference} ({type(model).__name__}) is an encoder: what it says of a token depends on the tokens after"
            " it. Give a causal language model, such as GPT-2 or Llama."
        )


def culprit(folder: Path) -> str | None:
    """The file of a model's folder that cannot be read, with advice; None if all can be read."""
    for path in sorted(folder.glob("*.json")):
        try:
            data = loads(path.read_text(encoding="utf-8"), nan=True)
        except (JsonError, UnicodeDecodeError, OSError) as error:
            return f"{path.name} cannot be read ({_cause(error)}): fetch or save it anew"
        if path.name == "config.json" and not isinstance(data, dict):
            return "config.json should hold an object of settings: save the model anew by save_pretrained"
        if path.name.endswith(".index.json") and isinstance(data, dict) and isinstance(data.get("weight_map"), dict):
            lacking = sorted({str(name) for name in data["weight_map"].values() if not (folder / str(name)).is_file()})
            if lacking:
                return f"{listed(lacking)} is missing, which {path.name} names: fetch it too"
    for path in sorted(folder.glob("*.safetensors")):
        if damaged(path):
            return f"{path.name} is cut off or damaged ({path.stat().st_size:,} bytes): fetch or save it anew"
    return None


def damaged(path: Path) -> bool:
    """Whether a safetensors file cannot be opened; its tensors are not read."""
    try:
        with safe_open(path, framework="pt"):
            return False
    except (SafetensorError, OSError, ValueError):
        return True


def wrong_file(error: Exception) -> str | None:
    """What is wrong with the file that raised this error, wherever it is; None for other errors."""
    if isinstance(error, SafetensorError):
        return "a file of weights (safetensors) is cut off or damaged: fetch or save it anew"
    if isinstance(error, pickle.UnpicklingError):
        return (
            "its weights are a pickle that is damaged, or that holds code besides tensors, which is not run. Give a"
            " checkpoint in safetensors"
        )
    if isinstance(error, StrictDataclassFieldValidationError):
        field = re.search(r"field '(\w+)'", str(error))
        return f"config.json: {field[1] if field else 'a setting'} has a value that no model of this kind has"
    if isinstance(error, EOFError):
        return "a file of weights is empty or cut off: fetch or save it anew"
    return None


def listed(names: Collection[Any]) -> str:
    """Some of the names, and the number of the others."""
    some = sorted(map(str, names))
    more = f" and {len(some) - LISTED:,} more" if len(some) > LISTED else ""
    return ", ".join(some[:LISTED]) + more


def _cause(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text, byte {error.start}"
    where = f"line {error.line}: " if isinstance(error, JsonError) and error.line else ""
    return f"{where}{getattr(error, 'strerror', None) or error}"
