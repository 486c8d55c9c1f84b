"""Stored runs, opened again: more measures, studies, and answers about their rounds."""
