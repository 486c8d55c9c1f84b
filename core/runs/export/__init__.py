"""Exports of a run, or of a lane after a round."""
