"""The experiment form: its choices, and the sources of its facts."""
