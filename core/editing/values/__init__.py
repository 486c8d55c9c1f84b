"""Keys and target values: where a fact is read, and what has to be there instead."""
