"""Runs on disk: database, folders, queues, records. Needs no torch."""
