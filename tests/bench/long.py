"""Long sequential runs on the pocket model, guards beside their controls: `python -m tests.bench.long`.

One run per seed with all lanes; prints, per lane and at a few numbers of edits, the mean over seeds and the range.
Runs that are in `--out` already are read, not repeated; unfinished ones go on.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from tests.bench.machine import describe

ONE_LANE_ENDED = 3  # exit status: its numbers broke, the others went on
REVIVE = "REVIVE"
LANES = [
    {"name": "MEMIT", "method": "memit"},
    {"name": REVIVE, "method": "memit", "guards": [{"name": "revive"}]},
    {"name": "shrink, matched", "method": "memit", "guards": [{"name": "shrink", "match": REVIVE}]},
    {"name": "shrink .4", "method": "memit", "guards": [{"name": "shrink", "factor": 0.4}]},
    {"name": "random", "method": "memit", "guards": [{"name": "random"}]},
]
SCORES = {
    "efficacy": "efficacy",
    "exact": "efficacy_exact",
    "when edited": "efficacy_exact_when_edited",
    "paraphrase": "paraphrase_exact",
    "neighborhood": "neighborhood_exact",
    "unedited": "unedited_recall",
    "tasks": "task_mean",
}
INSIDE = {"LS": "ls", "SS right": "ss_right", "‖ΔW‖/‖W₀‖": "change"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("results"))
    options.add_argument("--facts", type=int, default=2000)
    options.add_argument("--round-size", type=int, default=100)
    options.add_argument("--every", type=int, default=5, help="rounds from one measurement to the next")
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--tau", type=float, default=0.1)
    arguments = options.parse_args()
    print(describe())
    folders = [performed(arguments, seed) for seed in arguments.seeds]
    print(f"{arguments.facts} edits in rounds of {arguments.round_size}, τ {arguments.tau}, seeds {arguments.seeds}\n")
    print(summary(folders))


def performed(arguments: argparse.Namespace, seed: int) -> Path:
    """The folder of one seed's run, run now if it is not there."""
    folder = arguments.out / f"seed-{seed}"
    lanes = [{**lane, "guards": [strength(guard, arguments.tau) for guard in lane.get("guards", [])]} for lane in LANES]
    spec = {
        "facts": {"source": "pocket", "count": arguments.facts, "seed": seed},
        "round_size": arguments.round_size,
        "lanes": lanes,
        "measure": {"every": arguments.every, "maps": False, "words": 0, "sample": 200},
        "seed": seed,
    }
    return done(spec, folder)


def done(spec: dict, folder: Path) -> Path:
    """The folder of a spec's run, run now or gone on with if it is not done."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_suffix(".json")
    path.write_text(json.dumps(spec, indent=1))
    going_on = ["--resume"] if folder.exists() else []
    ended = subprocess.run([sys.executable, "-m", "core", "run", str(path), "--out", str(folder), *going_on])
    if ended.returncode not in (0, ONE_LANE_ENDED):
        sys.exit(ended.returncode)
    return folder


def strength(guard: dict, tau: float) -> dict:
    """A guard with the threshold, if it has one."""
    return guard if guard["name"] == "shrink" else {**guard, "tau": tau}


def summary(folders: list[Path]) -> str:
    """A Markdown table: a row per lane and measured number of edits, "mean (lowest–highest)" over the seeds."""
    rounds = pd.concat([pd.read_csv(folder / "rounds.csv").assign(seed=folder.name) for folder in folders])
    layers = pd.concat([pd.read_csv(folder / "layers.csv").assign(seed=folder.name) for folder in folders])
    inside = layers.groupby(["seed", "lane", "round"])[list(INSIDE.values())].mean().reset_index()
    table = rounds.merge(inside, on=["seed", "lane", "round"], how="left")
    names = {**SCORES, **INSIDE}
    lines = [f"| edits | lane | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for edits in sorted(table.edits.unique()):
        lanes = [LANES[0]] if edits == 0 else LANES
        for lane in (lane["name"] for lane in lanes):
            rows = table[(table.edits == edits) & (table.lane == lane)]
            cells = [spread(rows[column].dropna().tolist()) for column in names.values()]
            lines.append(f"| {edits} | {'before' if edits == 0 else lane} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(found: list[float]) -> str:
    """Mean, and the range if there are several."""
    if not found:
        return "–"
    mean = sum(found) / len(found)
    if len(found) == 1 or max(found) - min(found) < 0.005:
        return f"{mean:.2f}"
    return f"{mean:.2f} ({min(found):.2f}–{max(found):.2f})"


if __name__ == "__main__":
    main()
