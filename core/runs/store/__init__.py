"""Storage of runs: database, folders, queues. Needs no torch."""
