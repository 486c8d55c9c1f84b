"""Runs: the spec, the engine, the store, the worker, and everything that uses a finished or a running run."""
