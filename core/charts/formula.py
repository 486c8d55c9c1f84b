"""Equations as MathML, which browsers render natively: no script, font or request is needed.

Every function returns markup; `formula` wraps it for a panel. `row("A", "=", "B")` is A = B: plain strings become
identifiers, numbers or operators, by their characters.
"""

from __future__ import annotations

from html import escape

OPERATORS = set("=+−-·×≥≤>|‖⟨⟩()[]{},:∑→√′") | {"min", "max", "arg max", "and"}


def atom(text: str) -> str:
    """One symbol. Markup is returned unchanged; other text becomes an identifier, a number or an operator."""
    if text.startswith("<"):
        return text
    if text in OPERATORS:
        return f"<mo>{escape(text)}</mo>"
    if text.replace(".", "").isdigit():
        return f"<mn>{text}</mn>"
    return f"<mi>{escape(text)}</mi>"


def row(*parts: str) -> str:
    return f"<mrow>{''.join(atom(part) for part in parts)}</mrow>"


def words(text: str) -> str:
    """Upright text inside an equation."""
    return f"<mtext>{escape(text)}</mtext>"


def sub(base: str, index: str) -> str:
    return f"<msub>{atom(base)}{atom(index)}</msub>"


def power(base: str, exponent: str) -> str:
    return f"<msup>{atom(base)}{atom(exponent)}</msup>"


def both(base: str, index: str, exponent: str) -> str:
    """A base with something below and above it on its right."""
    return f"<msubsup>{atom(base)}{atom(index)}{atom(exponent)}</msubsup>"


def total(below: str, *body: str) -> str:
    """A sum over `below`."""
    return f"<mrow><munder><mo>∑</mo>{atom(below)}</munder>{row(*body)}</mrow>"


def frac(above: str, below: str) -> str:
    return f"<mfrac>{atom(above)}{atom(below)}</mfrac>"


def under(base: str, below: str) -> str:
    return f"<munder>{atom(base)}{atom(below)}</munder>"


def root(inside: str) -> str:
    return f"<msqrt>{atom(inside)}</msqrt>"


def norm(*inside: str, kind: str = "F") -> str:
    """‖…‖ with its kind below it."""
    return sub(row("‖", *inside, "‖"), kind)


def formula(*parts: str) -> str:
    """A displayed equation."""
    return f'<math display="block">{row(*parts)}</math>'
