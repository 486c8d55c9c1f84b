"""A lane: its method and recipe, its state, and data that its rounds share."""
