"""A lane: its method and recipe, its state, and what its rounds share."""
