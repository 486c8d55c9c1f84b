"""A run as it is asked for: the spec, its lanes and its plan, checked. Needs no torch."""
