"""The error class whose messages are written for the user."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), " ")
LONGEST_SHOWN = 60  # characters of a value in a message
LONGEST = 2_000  # of a message: it is stored with a run and sent with every list of runs
LISTED = 40  # known names in one


class UserError(ValueError):
    """One clear line: what is wrong, where, and what to do about it.

    The command line prints it and exits with status 2; the page shows it beside the input. The message is always one
    printable line, and is shortened if it is too long.
    """

    def __init__(self, message: str):
        super().__init__(clipped(one_line(message)))


def clipped(message: str, longest: int = LONGEST) -> str:
    """A message of at most `longest` characters. The middle is replaced by the number of characters left out."""
    if len(message) <= longest:
        return message
    cut = f" … ({len(message) - longest:,} characters left out) … "
    first = (longest - len(cut)) * 2 // 3
    return message[:first] + cut + message[len(message) - (longest - len(cut) - first) :]


def one_line(text: str) -> str:
    """A text that can be printed in one line: line ends and control characters become spaces, lone surrogates question
    marks."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").translate(CONTROLS).split())


def shown(value: Any) -> str:
    """A value as the user wrote it, in one line, shortened."""
    try:
        text = f'"{value}"' if isinstance(value, str) else repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    text = one_line(text[: 2 * LONGEST_SHOWN])
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name: the known names, the closest one first named.

    >>> nearest("lamda", ["lambda", "layers"])
    'did you mean "lambda"? Known: lambda, layers.'
    """
    names = sorted(known)
    close = get_close_matches(name[:LONGEST_SHOWN], names, n=1, cutoff=0.5)
    guess = f'did you mean "{close[0]}"? ' if close else ""
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return f"{guess}Known: {', '.join(names[:LISTED])}{more}."


def path(location: Iterable[int | str]) -> str:
    """A place inside nested data, as messages name it.

    >>> path(("lanes", 0, "tau"))
    'lanes[0].tau'
    """
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
