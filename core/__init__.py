"""The laboratory: facts ← models ← editing ← measures ← runs. Imports point that way only; nothing here knows a browser."""
