"""The sequence: spec → rounds → events → store, and whatever is asked of a run afterwards."""
