"""The one kind of error that a person is meant to read."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """One clear line: what is wrong, where, and what to do about it.

    The command line prints it and leaves with status 2; the page shows it where the person is looking.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name: the known names, the closest one first named.

    >>> nearest("lamda", ["lambda", "layers"])
    'did you mean "lambda"? Known: lambda, layers.'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f'did you mean "{close[0]}"? ' if close else ""
    return f"{guess}Known: {', '.join(names)}."
