"""What each way of editing more gently buys: `python -m tests.bench.frontier`.

On the pocket model, over seeds: families of lanes, each a sweep over its one strength (λ of MEMIT, a plain factor,
REVIVE's τ after the solve, REVIVE's τ known to the values and the solve, and a random subspace of REVIVE's sizes).
After all edits every lane is a point: how much of what was edited is said, how much of the rest was kept. Families are
compared by the most that a lane of theirs keeps while it says at least a given share (`measures.outside.frontier`).
Runs that are in `--out` already are read, not repeated; unfinished ones go on.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.measures.outside.frontier import most_kept
from tests.bench.long import done
from tests.bench.machine import describe
from tests.bench.report import spread

LEVELS = (0.97, 0.95, 0.9)
TAUS = (0.05, 0.1, 0.15, 0.2, 0.3)
FAMILIES = {
    "larger λ": [{"lambda": value} for value in (30, 60, 120, 240, 480)],
    "shrink": [{}] + [{"guards": [{"name": "shrink", "factor": value}]} for value in (0.85, 0.7, 0.55, 0.4)],
    "REVIVE": [{}] + [{"guards": [{"name": "revive", "tau": tau}]} for tau in TAUS],
    "REVIVE, guard-aware": [{}] + [{"guards": [{"name": "revive", "tau": tau}], "guard_aware": True} for tau in TAUS],
    "random subspace": [{}] + [{"guards": [{"name": "random", "tau": tau}]} for tau in TAUS],
}
KEPT = {"unedited facts": "unedited_recall", "tasks": "task_mean", "neighborhood": "neighborhood_exact"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("results"))
    options.add_argument("--facts", type=int, default=600)
    options.add_argument("--round-size", type=int, default=100)
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = options.parse_args()
    print(describe())
    tables = [performed(arguments, seed) for seed in arguments.seeds]
    print(f"{arguments.facts} edits in rounds of {arguments.round_size}, seeds {arguments.seeds}\n")
    print(points(tables), end="\n\n")
    print(summary(tables))


def lanes() -> list[dict]:
    """All lanes, each once: families share the plain one."""
    found = {json.dumps(lane, sort_keys=True): lane for family in FAMILIES.values() for lane in map(plain, family)}
    return [{"name": name_of(lane), "method": "memit", **lane} for lane in found.values()]


def plain(lane: dict) -> dict:
    """A lane's settings, without the one that is the default."""
    return {} if lane == {"lambda": 30} else lane


def name_of(lane: dict) -> str:
    """A label that tells lanes apart."""
    parts = [f"λ {lane['lambda']}"] if "lambda" in lane else []
    for guard in lane.get("guards", []):
        parts.append(f"{guard['name']} {guard.get('tau', guard.get('factor'))}")
    return " ".join(["MEMIT", *parts, *(["aware"] if lane.get("guard_aware") else [])])


def performed(arguments: argparse.Namespace, seed: int) -> pd.DataFrame:
    """The last measurement of every lane of one seed; the run is done now if it is not there."""
    folder = arguments.out / f"frontier-{seed}"
    rounds = -(-arguments.facts // arguments.round_size)
    spec = {
        "facts": {"source": "pocket", "count": arguments.facts, "seed": seed},
        "round_size": arguments.round_size,
        "lanes": lanes(),
        "measure": {"every": rounds, "maps": False, "words": 0, "inside": False, "final_sample": 300},
        "seed": seed,
    }
    table = pd.read_csv(done(spec, folder) / "rounds.csv")
    return table[table["round"] == rounds].set_index("lane")


def points(tables: Sequence[pd.DataFrame]) -> str:
    """A Markdown table: a row per family and strength, "mean (lowest–highest)" over the seeds."""
    columns = {"said exactly": "efficacy_exact", **KEPT}
    lines = [f"| family | lane | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for family, members in FAMILIES.items():
        for lane in map(name_of, map(plain, members)):
            cells = [spread([t.loc[lane, c] for t in tables if lane in t.index]) for c in columns.values()]
            lines.append(f"| {family} | {lane} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(tables: Sequence[pd.DataFrame]) -> str:
    """A Markdown table: the most that a lane of each family keeps while it says a share of the edits; over fewer seeds
    where in others none of its lanes does, which is told."""
    lines = [f"| said exactly, at least | family | {' | '.join(KEPT)} |", f"|---|---|{'---|' * len(KEPT)}"]
    for level in LEVELS:
        for family, members in FAMILIES.items():
            names = [name_of(plain(lane)) for lane in members]
            cells = []
            for column in KEPT.values():
                found = [most_kept(reached(table, names, column), level) for table in tables]
                there = [value for value in found if not math.isnan(value)]
                of = "" if len(there) in (0, len(found)) else f", {len(there)} of {len(found)} seeds"
                cells.append(spread(there) + of)
            lines.append(f"| {level} | {family} | {' | '.join(cells)} |")
    return "\n".join(lines)


def reached(table: pd.DataFrame, names: Sequence[str], column: str) -> list[tuple[float, float]]:
    """(said, kept) of a family's lanes that came to the end."""
    return [(table.loc[name, "efficacy_exact"], table.loc[name, column]) for name in names if name in table.index]


if __name__ == "__main__":
    main()
