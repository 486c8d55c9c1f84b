"""Reading a run's tables: all columns but those that hold seconds, which differ whenever a run is repeated."""

import csv

TABLES = ("rounds.csv", "layers.csv", "facts.csv")


def table(path):
    """The rows of a table without the columns of seconds."""
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.endswith("_seconds")} for row in csv.DictReader(file)]
