"""Boundaries of words and numbers, to find a subject in a prompt and an answer at the start of a text."""

from __future__ import annotations

import unicodedata

SPACELESS = (("\u0e00", "\u0eff"), ("\u1000", "\u109f"), ("\u1780", "\u17ff"))  # Thai and Lao, Burmese, Khmer
KATAKANA = ("\u30a0", "\u30ff")  # with the mark of a long vowel
WITHIN_NUMBERS = ".,:/'’٫٬"  # between two digits these do not end a number: 5.5, 5,000, 5:30, 5/8
BOUND = "\u200d\ufe0e\ufe0f\u20e3"  # what binds an emoji to the next or changes the one before it: ZWJ, variations
TONES = ("\U0001f3fb", "\U0001f3ff")  # the colour of the emoji before
SIGNS = "-."  # before a digit these belong to its number


def spaceless(letter: str) -> bool:
    """Whether a letter belongs to a script without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, …).

    Korean counts too: it sets spaces, but what follows a name (particles) is written onto it.
    """
    wide = unicodedata.east_asian_width(letter) in "WF"
    return wide or any(first <= letter <= last for first, last in SPACELESS)


def inside_word(text: str, at: int) -> bool:
    """Whether a word, a number or an emoji continues across position `at`, between `text[at - 1]` and `text[at]`.

    In scripts without spaces a word may end after any letter, except within katakana (foreign words) and numerals.
    """
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    if right in BOUND or left == "\u200d" or TONES[0] <= right <= TONES[1] or unicodedata.category(right)[0] == "M":
        return True
    if left.isnumeric() and right.isnumeric():
        return True
    digits = text[at - 1 : at + 2] if right in WITHIN_NUMBERS else text[max(0, at - 2) : at + 1]
    if len(digits) == 3 and digits[0].isdigit() and digits[1] in WITHIN_NUMBERS and digits[2].isdigit():
        return True
    if signed(text, at - 1):
        return True
    if spaceless(left) or spaceless(right):
        return _katakana(left) and _katakana(right)
    return _lettered(left) and _lettered(right)


def signed(text: str, at: int) -> bool:
    """Whether `text[at]` is the sign or point at the start of a number: "-5", ".5"; not the last of "...5"."""
    before = text[at - 1] if at else ""
    return text[at] in SIGNS and text[at + 1 : at + 2].isdigit() and not before.isalnum() and before != "."


def tidy(text: str) -> str:
    """A normalised text: case folded, NFKC, single spaces, stripped, one kind of minus, no emoji variations."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2212", "-")
    return " ".join("".join(letter for letter in plain if letter not in "\ufe0e\ufe0f").split())


def _katakana(letter: str) -> bool:
    return KATAKANA[0] <= letter <= KATAKANA[1] and letter != "\u30fb"  # a dot between words


def _lettered(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter)[0] == "M"
