"""Handlers of the page's events, and the streams of updates. Nothing here draws."""
