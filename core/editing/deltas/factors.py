"""A lane's change as a file of factors: saved, and applied to its base model again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from core.editing.linalg.lowrank import LowRank, added
from core.errors import UserError
from core.models.language_model import LanguageModel
from core.tensor_files import Unreadable, factors, read_tensors

FORMAT = "edit-lab factors 1"
USE = (
    "weight + left @ right.T, in float32 before any rounding to the model's own type; "
    "its transpose is added where transposed is true (Conv1D)"
)


def module_name(lm: LanguageModel, layer: int) -> str:
    """The full name of a layer's edited module, as in `model.named_modules()`."""
    return f"{lm.anatomy.layers}.{layer}.{lm.anatomy.down}"


def save_factors(path: Path, lm: LanguageModel, change: Mapping[int, LowRank], about: Mapping[str, Any]) -> None:
    """Write a change: `<module>.left` [d_out, r] and `<module>.right` [d_in, r] of each layer, `about` as metadata.

    `about` names the base as `{"base": {"reference", "fingerprint"}}`, which `apply_factors` compares.
    """
    tensors: dict[str, Tensor] = {}
    for layer, delta in change.items():
        name = module_name(lm, layer)
        tensors[f"{name}.left"] = delta.left.cpu().contiguous()
        tensors[f"{name}.right"] = delta.right.cpu().contiguous()
    save_file(tensors, path, metadata={"about": json.dumps({"format": FORMAT, "use": USE, **about})})


def read_factors(path: Path) -> tuple[dict[str, LowRank], dict[str, Any]]:
    """(factors by the full names of their modules, the metadata). Raises `UserError` for any other file."""
    try:
        tensors, about = read_tensors(path)
        if about.get("format") != FORMAT:
            raise UserError(f"{path}: holds no factors of a change; give a file that `export --as factors` wrote")
        names = dict.fromkeys(name.removesuffix(".left").removesuffix(".right") for name in tensors)
        return {name: LowRank(*factors(tensors, f"{name}.left", f"{name}.right")) for name in names}, about
    except Unreadable as error:
        raise UserError(f"{path}: cannot be read as a file of factors ({error}); export it anew") from None


def apply_factors(lm: LanguageModel, path: Path, any_base: bool = False) -> dict[int, Float[Tensor, "d_out d_in"]]:
    """The edited matrices that a file of factors gives for this model: `with lm.worn(apply_factors(lm, path)): …`

    They equal those of the run up to float32 rounding (the run rounds once a round, this function once). A model in
    bfloat16 or float16 uses them rounded to its type, as in the run: occasionally a last bit of that type differs.
    Raises `UserError` if the factors do not fit, or if they were made on other weights and `any_base` is false.
    """
    factors, about = read_factors(path)
    base = about["base"] if isinstance(about.get("base"), dict) else {}
    if not any_base and base.get("fingerprint") != lm.fingerprint:
        raise UserError(
            f"{path}: was made on {base.get('reference')} in {base.get('dtype')} with other weights than those of"
            f" {lm.reference}; load that model, or say any_base=True to add the change all the same"
        )
    layers = {module_name(lm, layer): layer for layer in range(lm.n_layers)}
    weights = {}
    for name, delta in factors.items():
        if name not in layers:
            raise UserError(f"{path}: changes {name}, which {lm.reference} does not have or does not edit")
        original = lm.original(layers[name])
        if original.shape != (len(delta.left), len(delta.right)):
            shape = f"{len(delta.left)} x {len(delta.right)}"
            raise UserError(f"{path}: {name} is {tuple(original.shape)} in {lm.reference}, but the change is {shape}")
        present = LowRank(delta.left.to(original), delta.right.to(original))
        weights[layers[name]] = added(original, present)
    return weights
