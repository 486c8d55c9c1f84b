"""Keys and target values: the input of an edit at a fact's subject, and the output that it should give."""
