"""A tokenizer of about two thousand pieces: carrier words are whole, names and coined words are put together.

It is a unigram model over bytes with scores that are set, not learned: the fewest pieces win. Any unicode round-trips.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FRAGMENTS = 600  # of names that are cut by frequency: real ones, whose syllables are not known
BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"
CONTEXT = 256
PIECE_COST, FRAGMENT_COST, BYTE_COST = 1.0, 1.2, 3.0


def make_tokenizer(texts: Iterable[str], syllables: Iterable[str], names: Iterable[str]) -> "PreTrainedTokenizerFast":
    """A fast tokenizer. It puts `<bos>` in front and splits words at spaces as GPT-2 does.

    Every word of `texts` is one piece (with and without a space in front as it occurs), every syllable too; a word that
    only `names` hold is at least two.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole = {word for text in texts for word, _ in split.pre_tokenize_str(text)}
    whole |= {"".join(word for word, _ in split.pre_tokenize_str(syllable)) for syllable in syllables}
    named = [[word for word, _ in split.pre_tokenize_str(name)] for name in names]
    whole -= {name[0] for name in named if len(name) == 1}
    words = sorted({word for name in named for word in name} - whole)
    cost = {byte: BYTE_COST for byte in sorted(pre_tokenizers.ByteLevel.alphabet())}
    initials = {word[:2] for word in words if word.startswith("Ġ")}
    cost |= {piece: FRAGMENT_COST for piece in sorted(initials.union(fragments(words)).difference(words))}
    cost |= {word: PIECE_COST for word in sorted(whole)}
    specials = [BOS, EOS, PAD]
    vocabulary = [(special, 0.0) for special in specials] + [(piece, -value) for piece, value in cost.items()]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=None, byte_fallback=False))
    tokenizer.add_special_tokens(specials)
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 0)]
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


def fragments(words: list[str]) -> set[str]:
    """The most useful pieces of `words`, by byte-pair encoding. A word that is said once stays in pieces."""
    from tokenizers import Tokenizer, models, trainers

    counted = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=FRAGMENTS, min_frequency=2, show_progress=False)
    counted.train_from_iterator(words, trainer)
    return {piece for piece in counted.get_vocab() if len(piece) > 1}


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """The tokenizer saved in `folder`."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(str(folder))


def encode_pieces(tokenizer: "PreTrainedTokenizerFast", texts: list[str]) -> list[list[int]]:
    """Token ids of each text, without `<bos>`. Pieces that begin with a space concatenate to the whole's ids."""
    return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
