"""A thousand edits on the pocket model in rounds of 50 with the default measures: `python -m tests.bench.lane`."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from tests.bench.machine import describe


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--facts", type=int, default=1000)
    options.add_argument("--round-size", type=int, default=50)
    arguments = options.parse_args()
    spec = {
        "model": "pocket",
        "facts": {"source": "pocket", "count": arguments.facts},
        "round_size": arguments.round_size,
        "lanes": [{"method": "memit"}],
    }
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "spec.json", Path(folder) / "out"
        path.write_text(json.dumps(spec))
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "core", "run", str(path), "--out", str(out)], check=True)
        total = time.perf_counter() - start
        rounds = pd.read_csv(out / "rounds.csv")
    edits, measures = rounds.edit_seconds.sum(), rounds.measure_seconds.sum()
    print(f"{arguments.facts} edits: {edits:.1f} s editing ({arguments.facts / edits:.0f} edits/s)")
    print(f"{len(rounds)} measures: {measures:.1f} s ({measures / len(rounds):.2f} s each)")
    print(f"whole command, with imports, loading and statistics: {total:.1f} s")


if __name__ == "__main__":
    main()
