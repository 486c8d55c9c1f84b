"""What edits did: inside (spectra, subspaces, hidden states) and outside (facts, tasks, words)."""
