"""A lane's change as a LoRA adapter that `peft` loads: `adapter_config.json` and `adapter_model.safetensors`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from core.editing.deltas.factors import module_name
from core.editing.linalg.lowrank import LowRank
from core.models.language_model import LanguageModel


def save_lora(
    folder: Path, lm: LanguageModel, change: Mapping[int, LowRank], base: str | None, about: Mapping[str, Any]
) -> list[Path]:
    """Write an adapter with B A = L Rᵀ for each layer into the existing `folder`; returns its two files.

    `base` is where `peft` may load the base model from, if known; `about` becomes the tensors' metadata.
    """
    tensors: dict[str, Tensor] = {}
    for layer, delta in change.items():
        name = f"base_model.model.{module_name(lm, layer)}"
        tensors[f"{name}.lora_A.weight"] = delta.right.T.cpu().contiguous()
        tensors[f"{name}.lora_B.weight"] = delta.left.cpu().contiguous()
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    config.write_text(json.dumps(lora_config(lm, change, base), indent=2) + "\n", encoding="utf-8")
    save_file(tensors, weights, metadata={"format": "pt", "about": json.dumps(dict(about))})
    return [config, weights]


def lora_config(lm: LanguageModel, change: Mapping[int, LowRank], base: str | None) -> dict[str, Any]:
    """`adapter_config.json`: the modules by their full names, each with its rank, and α = r, so that the scaling is 1.

    `peft` reads the keys of the patterns as regular expressions that match the end of a name. A dot in them also
    matches a dot, and none of these names matches another one's pattern.
    """
    ranks = {module_name(lm, layer): delta.columns for layer, delta in change.items()}
    largest = max(ranks.values())
    fewer = {name: rank for name, rank in ranks.items() if rank != largest}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "target_modules": list(ranks),
        "fan_in_fan_out": lm.anatomy.conv1d,
        "r": largest,
        "lora_alpha": largest,
        "rank_pattern": fewer,
        "alpha_pattern": fewer,
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
    }
