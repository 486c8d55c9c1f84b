"""Facts to edit: typed by people, read from files, or sampled from the embedded world."""
