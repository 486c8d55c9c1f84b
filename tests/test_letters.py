"""Where words, numbers and emoji end."""

import pytest

from core.letters import inside_word, tidy


@pytest.mark.parametrize(
    ("left", "right", "inside"),
    [
        ("Rome", "o", True),
        ("Rome", "'s", False),
        ("Rome", " o", False),
        ("5", ".5", True),
        ("5.", "5", True),
        ("5", ". 5", False),
        ("5", ".", False),
        ("-", "5", True),
        ("A-", "5", False),
        ("12", "3", True),
        ("5", "万", True),
        ("東", "京", False),
        ("アメ", "リカ", True),
        ("スミス・", "ジョン", False),
        ("हिन्द", "ी", True),
        ("👩", "\u200d🔬", True),
        ("👩\u200d", "🔬", True),
        ("🟢", "🟢", False),
        ("", "a", False),
        ("a", "", False),
    ],
)
def test_inside_word(left, right, inside):
    assert inside_word(left + right, len(left)) is inside


def test_tidy():
    assert tidy("  The\nCITY ❤\ufe0f \u22125 ﬁne ") == "the city ❤ -5 fine"
