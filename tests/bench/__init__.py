"""Measurements of speed that are too slow for the tests."""
