"""The laboratory: facts ← models ← editing ← measures ← runs. Imports point that way; no browser is known here."""
