"""KnowEdit (Zhang et al. 2024): ZsRE, WikiData_counterfact and WikiData_recent, with portability and locality by kind.

Answers are texts, lists, or lists of lists of other spellings: the first is the answer, all others its aliases. The
kinds are the dataset's own in words: "reasoning", "subject aliasing", "logical generalization"; "relation specificity",
"forgetfulness". WikiData_recent has no old object.
"""

from __future__ import annotations

from core.facts.dataset import Dataset
from core.facts.fact import Fact
from core.facts.record import Record


def read(record: Record, subset: str = "") -> list[Fact]:
    """The one fact of a record; the three parts have one form, so `subset` only says what to fetch."""
    return [
        record.fact(
            record.need("subject"),
            record.need("prompt"),
            record.need_texts("target_new"),
            record.texts("ground_truth"),
            paraphrases=record.texts("rephrase_prompt") or record.texts("rephrase"),
            portability=record.questions("portability"),
            locality=record.questions("locality"),
            id=f"knowedit-{record.text('case_id') or record.row}",
            source="knowedit",
        )
    ]


FILES = "hf://datasets/zjunlp/KnowEdit/benchmark"

DATASET = Dataset(
    name="knowedit",
    title="KnowEdit",
    read=read,
    shapes=(("subject", "prompt", "target_new", "portability"), ("subject", "prompt", "target_new", "locality")),
    subsets=("zsre", "wiki_counterfact", "wiki_recent"),
    home="https://huggingface.co/datasets/zjunlp/KnowEdit",
    hub={
        "zsre": f"{FILES}/ZsRE/ZsRE-test-all.json",
        "wiki_counterfact": f"{FILES}/wiki_counterfact/test_cf.json",
        "wiki_recent": f"{FILES}/wiki_recent/recent_test.json",
    },
)
