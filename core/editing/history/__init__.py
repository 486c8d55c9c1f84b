"""Keys of earlier rounds, kept between rounds: incremental Woodbury updates."""
