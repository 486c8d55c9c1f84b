"""Keys of earlier rounds, cached between rounds: incremental Woodbury updates."""
