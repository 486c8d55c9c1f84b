"""Linear algebra of edits: low-rank updates, singular subspaces, orthogonal matrices, solves in float64."""
