"""Tiny random models of real architectures, with a real tokenizer, written as `save_pretrained` writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

SENTENCES = [
    "The capital of France is Paris. The capital of Italy is Rome.",
    "Ada Marlow was born in Vienna and works as a painter in Lyon.",
    "Bruno Keller speaks German. Bruno Keller was born in Zurich, and Bruno Keller is a baker.",
    "The mother of Ada Marlow is Lena Marlow. The author of The Quiet River is Tom Ash.",
    "Therefore the river runs to the sea, because I like you and you like the sea.",
]


def tokenizer(bos: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of about 400 tokens; `bos` puts "<s>" before every text."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(SENTENCES * 4, trainer)
    if bos:
        raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def pieces(bos: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer like SentencePiece's: spaces are "▁" and belong to the word after them, one stands before the text,
    bytes stand for what no piece spells; about 400 tokens, `bos` puts "<s>" before every text."""
    spelled = ["<pad>", "<s>", "</s>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(vocab_size=520, special_tokens=spelled, show_progress=False)
    raw.train_from_iterator(SENTENCES * 4, trainer)
    plain = json.loads(raw.to_str())
    plain["added_tokens"] = plain["added_tokens"][:4]  # bytes are pieces like any other, not special
    raw = Tokenizer.from_str(json.dumps(plain))
    if bos:
        raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def write(
    folder: Path,
    config: PreTrainedConfig,
    bos: bool = True,
    seed: int = 0,
    words: PreTrainedTokenizerFast | None = None,
) -> Path:
    """A random model of `config`, with weights large enough that its answers differ, and a tokenizer."""
    torch.manual_seed(seed)
    words = words or tokenizer(bos)
    config.vocab_size = len(words)
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 1, 2, 0
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(10)
            else:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


SHAPE = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "max_position_embeddings": 128}
GROUPED = {**SHAPE, "intermediate_size": 80, "num_key_value_heads": 2}
SHAPE_GPT = {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 128}
WINDOW = 6  # tokens of sliding-window attention: fewer than the tests' prompts have
TURNS = ["sliding_attention", "full_attention"] * 2

CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    # learned positions, Conv1D weights stored transposed, biases, tied embeddings
    "gpt2": lambda: GPT2Config(**SHAPE_GPT, n_inner=96, resid_pdrop=0.0, embd_pdrop=0.0),
    # attention and FFN in parallel, biases, attention in float32
    "gptj": lambda: GPTJConfig(**SHAPE_GPT, n_inner=80, rotary_dim=4),
    # attention and FFN in parallel behind two norms, partial rotary
    "gpt_neox": lambda: GPTNeoXConfig(**SHAPE, intermediate_size=80),
    # an FFN that is part of the layer itself
    "opt": lambda: OPTConfig(**SHAPE, ffn_dim=80, word_embed_proj_dim=32, dropout=0.0),
    # rotary, grouped keys and values, gated FFN, RMS norm
    "llama": lambda: LlamaConfig(**GROUPED, tie_word_embeddings=False),
    # attention through a sliding window
    "mistral": lambda: MistralConfig(**GROUPED, sliding_window=WINDOW),
    # biases in attention
    "qwen2": lambda: Qwen2Config(**GROUPED, tie_word_embeddings=True),
    # norms of queries and keys; heads wider than the model's width says
    "qwen3": lambda: Qwen3Config(**GROUPED, head_dim=16, tie_word_embeddings=False),
    # norms behind attention and FFN, every other layer slides, both soft caps so low that they bite
    "gemma2": lambda: Gemma2Config(
        **GROUPED,
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=WINDOW,
        layer_types=TURNS,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=5.0,
    ),
    # norms of queries and keys and behind attention and FFN, every other layer slides with its own rotary base
    "gemma3_text": lambda: Gemma3TextConfig(
        **GROUPED, head_dim=8, query_pre_attn_scalar=8, sliding_window=WINDOW, layer_types=TURNS
    ),
    # queries, keys and values in one matrix, as gate and up-projection are
    "phi3": lambda: Phi3Config(**GROUPED, sliding_window=WINDOW, pad_token_id=0),
}


def tiny(
    folder: Path, family: str, bos: bool | None = None, words: PreTrainedTokenizerFast | None = None, **changed: object
) -> Path:
    """A tiny random model of a family, written into `folder`; `changed` are fields of its configuration.

    The tokenizer is `words`, or `tokenizer(bos)`: by default with BOS except for Qwen, which has none.
    """
    config = CONFIGS[family]()
    for name, value in changed.items():
        setattr(config, name, value)
    return write(folder, config, family not in ("qwen2", "qwen3") if bos is None else bos, words=words)


def tiny_llama(folder: Path, bos: bool = True, layers: int = 4) -> Path:
    return tiny(folder, "llama", bos, num_hidden_layers=layers)


def tiny_gpt2(folder: Path, bos: bool = True) -> Path:
    return tiny(folder, "gpt2", bos)


FAMILIES = {family: partial(tiny, family=family) for family in CONFIGS}
