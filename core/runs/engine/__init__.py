"""The engine of a run: it loads, edits and measures, and yields events."""
