"""Long sequential runs, guards beside their controls: `python -m tests.bench.long [pocket|smollm2]`.

One run per seed with all lanes. It prints two tables, each with the mean over seeds and the range: scores at a few
numbers of edits, and what is preserved for as long as a given share of all edits is exact. Runs that are in `--out`
already are read, not repeated; unfinished ones continue. `--picture` draws the scores (needs what page tests need).
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.machine import describe
from tests.bench.picture import as_svg
from tests.bench.report import at_edits, at_exactness, figure, read

ONE_LANE_ENDED = 3  # exit status: its numbers broke, the others continued
REVIVE = "REVIVE τ .1"


def lane(label: str, method: str, guard: str = "", **options: Any) -> dict[str, Any]:
    """A lane of a spec, with one guard or none."""
    return {"name": label, "method": method, "guards": [{"name": guard, **options}] if guard else []}


CONTROLS = [
    lane("shrink × .4", "memit", "shrink", factor=0.4),
    lane("random subspace", "memit", "random", tau=0.1),
]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a model is asked to take: facts in all and in a round, rounds between measurements, seeds, lanes."""

    source: str
    facts: int
    round_size: int
    every: int
    shown: tuple[int, ...]  # numbers of edits in the table
    seeds: tuple[int, ...]
    lanes: list[dict[str, Any]]


BENCHES = {
    "pocket": Bench(
        source="pocket",
        facts=3_000,
        round_size=100,
        every=5,
        shown=(500, 1_000, 2_000, 3_000),
        seeds=(0, 1, 2),
        lanes=[
            lane("MEMIT", "memit"),
            lane("REVIVE τ .05", "memit", "revive", tau=0.05),
            lane(REVIVE, "memit", "revive", tau=0.1),
            lane("REVIVE τ .2", "memit", "revive", tau=0.2),
            lane("AlphaEdit", "alphaedit"),
            lane("AlphaEdit + REVIVE", "alphaedit", "revive", tau=0.1),
            lane("shrink, matched", "memit", "shrink", match=REVIVE),
            *CONTROLS,
        ],
    ),
    "smollm2": Bench(
        source="everyday",
        facts=500,
        round_size=50,
        every=2,
        shown=(100, 300, 500),
        seeds=(0, 1),
        lanes=[
            lane("MEMIT", "memit"),
            lane(REVIVE, "memit", "revive", tau=0.1),
            lane("AlphaEdit", "alphaedit"),
            *CONTROLS,
        ],
    ),
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("model", nargs="?", choices=BENCHES, default="pocket")
    options.add_argument("--out", type=Path, default=Path("results"))
    options.add_argument("--facts", type=int)
    options.add_argument("--round-size", type=int)
    options.add_argument("--every", type=int, help="rounds from one measurement to the next")
    options.add_argument("--seeds", type=int, nargs="+")
    options.add_argument("--lanes", nargs="+", metavar="NAME", help="these alone (by default all)")
    options.add_argument("--picture", type=Path, metavar="FILE.svg")
    arguments = options.parse_args()
    bench = BENCHES[arguments.model]
    facts, size = arguments.facts or bench.facts, arguments.round_size or bench.round_size
    every, seeds = arguments.every or bench.every, arguments.seeds or bench.seeds
    lanes = chosen(bench.lanes, arguments.lanes)
    print(describe())
    folders = []
    for seed in seeds:
        spec = {
            "model": arguments.model,
            "facts": {"source": bench.source, "count": facts, "seed": seed},
            "round_size": size,
            "lanes": lanes,
            "measure": {
                "every": every,
                "maps": False,
                "words": 0,
                "sample": 200,
                "final_sample": 200,
                "final_words": False,
            },
            "seed": seed,
        }
        folders.append(done(spec, arguments.out / f"{arguments.model}-{seed}"))
    rounds = read(folders)
    print(f"{facts} edits in rounds of {size}, seeds {', '.join(map(str, seeds))}\n")
    print(at_edits(rounds, [edits for edits in bench.shown if edits < facts] + [facts]), end="\n\n")
    print(at_exactness(rounds))
    if arguments.picture:
        arguments.picture.write_text(as_svg(figure(rounds)), encoding="utf-8")


def chosen(lanes: list[dict[str, Any]], names: list[str] | None) -> list[dict[str, Any]]:
    """The lanes of these names, or all. Ends the program for a name that no lane has."""
    known = [lane["name"] for lane in lanes]
    if unknown := set(names or ()) - set(known):
        sys.exit(f"--lanes {' '.join(sorted(unknown))}: the lanes are {', '.join(known)}")
    return [lane for lane in lanes if names is None or lane["name"] in names]


def done(spec: dict[str, Any], folder: Path) -> Path:
    """The folder of a spec's run, run now or continued if it is not done."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_suffix(".json")
    path.write_text(json.dumps(spec, indent=1))
    resume = ["--resume"] if folder.exists() else []
    ended = subprocess.run([sys.executable, "-m", "core", "run", str(path), "--out", str(folder), *resume])
    if ended.returncode not in (0, ONE_LANE_ENDED):
        sys.exit(ended.returncode)
    return folder


if __name__ == "__main__":
    main()
