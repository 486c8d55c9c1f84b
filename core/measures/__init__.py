"""Effects of edits: inside (spectra, subspaces, hidden states) and outside (facts, tasks, generated text)."""
