"""The spec of a run, its lanes and its plan, with all checks. Needs no torch."""
