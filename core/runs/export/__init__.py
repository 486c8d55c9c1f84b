"""A run, or a lane at a round, as files for others."""
