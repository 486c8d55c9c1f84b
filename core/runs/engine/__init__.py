"""The sequence of a run: load, edit, measure, event by event."""
