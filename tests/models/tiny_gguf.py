"""The GGUF file of a tiny Llama, written as llama.cpp's converter writes one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(
    folder: Path, file: Path, change: Callable[[dict[str, np.ndarray]], object] = lambda tensors: None
) -> Path:
    """Write the Llama that `save_pretrained` wrote into `folder` as a GGUF file in float32; `change` may change its
    tensors, by their names in the file."""
    from gguf import GGUFWriter

    config = json.loads((folder / "config.json").read_text())
    words = json.loads((folder / "tokenizer.json").read_text())
    special = {token["id"] for token in words["added_tokens"]}
    vocabulary = sorted(words["model"]["vocab"].items(), key=lambda item: item[1])
    tensors = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        numbers = tensor.float().numpy()
        if "q_proj" in name:
            numbers = interleaved(numbers, config["num_attention_heads"])
        if "k_proj" in name:
            numbers = interleaved(numbers, config["num_key_value_heads"])
        stem = name.removesuffix(".weight")
        if stem.startswith("model.layers."):
            _, _, number, part = stem.split(".", 3)
            tensors[f"blk.{number}.{NAMES[part]}.weight"] = numbers
        else:
            tensors[f"{NAMES[stem]}.weight"] = numbers
    change(tensors)
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3 if number in special else 1 for _, number in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in words["model"]["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    for name, numbers in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(numbers))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """The rows of a head's two halves in turn, as llama.cpp rotates them."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
