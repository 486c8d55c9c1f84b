"""The laboratory: facts ← models ← editing ← measures ← runs. Imports point that way; no browser is known here."""

__version__ = "0.1.0"  # the only place: the build reads it from here
