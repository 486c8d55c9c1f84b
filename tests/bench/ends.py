"""What it does to free answers that targets are taught to end: each method with and without the option `eos`.

    python -m tests.bench.ends [--facts 50] [--seed 0]

One round on the pocket model. Printed are shares: of the edited facts, and of their paraphrases, whose free answer is
right and says no more (exact), or holds the right answer in its line (contains); of neighbors, exact; and the
teacher-forced efficacy, which counts no end.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import core as lab

METHODS = ("memit", "ft_m", "locft", "lora", "grace")
SHOWN = {
    "efficacy_exact": "forced, exact",
    "efficacy_free_exact": "free, exact",
    "efficacy_free_contains": "contains",
    "paraphrase_free_exact": "paraphrases, exact",
    "paraphrase_free_contains": "contains",
    "neighborhood_free_exact": "neighbors, exact",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    lanes = [
        {"method": name, "eos": eos, "name": f"{name}{' + end' if eos else ''}"}
        for name in METHODS
        for eos in (False, True)
    ]
    measure = {"tasks": False, "maps": False, "inside": False, "words": 0, "final_words": False, "perplexity": 0}
    spec = {
        "model": "pocket",
        "facts": {"source": "pocket", "count": asked.facts, "seed": asked.seed, "unedited": 0},
        "round_size": asked.facts,
        "lanes": lanes,
        "measure": measure | {"generated": None, "answer_tokens": 20, "sample": None, "final_sample": None},
    }
    with tempfile.TemporaryDirectory() as folder:
        run = lab.run(spec, out=Path(folder) / "run")
        found = {
            event["lane"]: event["scores"] for event in run.events if event["kind"] == "measured" and event["round"]
        }
    print("".join(["lane".ljust(14), *(title.rjust(20) for title in SHOWN.values())]))
    for lane, scores in found.items():
        print("".join([lane.ljust(14), *(f"{scores[name]:.2f}".rjust(20) for name in SHOWN)]))


if __name__ == "__main__":
    main()
