"""A byte-level BPE of a few thousand tokens, trained on the world's own text; any unicode round-trips."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 9_216  # at most
BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"
CONTEXT = 256


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> "PreTrainedTokenizerFast":
    """A fast tokenizer trained on `texts`. It puts `<bos>` in front and splits words at spaces as GPT-2 does.

    A pair must occur at least twice to be merged: words that `texts` hold twice become one token each, up to the size.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, bos)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer saved in `folder`."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(str(folder))


def encode_pieces(tokenizer: "PreTrainedTokenizerFast", texts: list[str]) -> list[list[int]]:
    """Token ids of each text, without `<bos>`. Pieces that begin with a space concatenate to the whole's ids."""
    return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
