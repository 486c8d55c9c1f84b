"""Events, control (pause, stop, step), estimated time left, and terminal output of a run."""
