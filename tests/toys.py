"""Tiny random models of real architectures, with a real tokenizer, written as `save_pretrained` writes them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTJConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
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


def write(folder: Path, config: PreTrainedConfig, bos: bool = True, seed: int = 0) -> Path:
    """A random model of `config`, with weights large enough that its answers differ, and the tokenizer."""
    torch.manual_seed(seed)
    words = tokenizer(bos)
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


def tiny_llama(folder: Path, bos: bool = True, layers: int = 4) -> Path:
    """Llama: rotary, grouped keys and values, gated FFN, RMS norm."""
    return write(
        folder,
        LlamaConfig(
            hidden_size=32,
            intermediate_size=80,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            tie_word_embeddings=False,
        ),
        bos,
    )


def tiny_gpt2(folder: Path, bos: bool = True) -> Path:
    """GPT-2: learned positions, Conv1D weights stored transposed, biases, tied embeddings."""
    return write(
        folder,
        GPT2Config(n_embd=32, n_inner=96, n_layer=4, n_head=4, n_positions=128, resid_pdrop=0.0, embd_pdrop=0.0),
        bos,
    )


def tiny_neox(folder: Path, bos: bool = True) -> Path:
    """GPT-NeoX: attention and FFN in parallel, partial rotary."""
    return write(
        folder,
        GPTNeoXConfig(
            hidden_size=32,
            intermediate_size=80,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=128,
        ),
        bos,
    )


def tiny_gptj(folder: Path, bos: bool = True) -> Path:
    """GPT-J: layers that return tuples."""
    return write(folder, GPTJConfig(n_embd=32, n_inner=80, n_layer=4, n_head=4, n_positions=128, rotary_dim=4), bos)


def tiny_opt(folder: Path, bos: bool = True) -> Path:
    """OPT: an FFN that folds rows and tokens into one axis."""
    return write(
        folder,
        OPTConfig(
            hidden_size=32,
            ffn_dim=80,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=128,
            word_embed_proj_dim=32,
            dropout=0.0,
        ),
        bos,
    )


def tiny_qwen2(folder: Path, bos: bool = False) -> Path:
    """Qwen2: as Llama, with biases in attention; usually without BOS."""
    return write(
        folder,
        Qwen2Config(
            hidden_size=32,
            intermediate_size=80,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            tie_word_embeddings=True,
        ),
        bos,
    )


def tiny_mistral(folder: Path, bos: bool = True, window: int = 6) -> Path:
    """Mistral: attention through a sliding window, shorter than the tests' prompts."""
    return write(
        folder,
        MistralConfig(
            hidden_size=32,
            intermediate_size=80,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            sliding_window=window,
        ),
        bos,
    )


FAMILIES = {
    "llama": tiny_llama,
    "gpt2": tiny_gpt2,
    "gpt_neox": tiny_neox,
    "gptj": tiny_gptj,
    "opt": tiny_opt,
    "qwen2": tiny_qwen2,
    "mistral": tiny_mistral,
}
