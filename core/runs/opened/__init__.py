"""A run that is there, opened again: more measures, studies, questions about its rounds."""
