"""ZsRE (Levy et al. 2017) as MEND prepared it for editing: a question, its rephrasing, and an unrelated one.

The target differs between codebases, and so do the scores before any edit. Subset "alt" (the default) teaches the
alternative answer, as MEND and EasyEdit do; "answers" teaches the gold answer, as the code of ROME and MEMIT does. The
unrelated question (`loc`, from Natural Questions) is a locality question, its text unchanged.
"""

from __future__ import annotations

from core.facts.dataset import Dataset
from core.facts.fact import Fact
from core.facts.record import Record


def read(record: Record, subset: str = "alt") -> list[Fact]:
    """The one fact of a record."""
    gold = record.texts("answers")
    targets = record.need_texts("alt") if subset == "alt" else record.need_texts("answers")
    return [
        record.fact(
            record.need("subject"),
            record.need("src"),
            targets,
            gold,
            column="src",
            paraphrases=record.texts("rephrase"),
            locality=tuple(record.question("unrelated", "loc", "loc_ans")) if "loc" in record else (),
            id=f"zsre-{record.text('case_id') or record.row}",
            source="zsre",
        )
    ]


DATASET = Dataset(
    name="zsre",
    title="ZsRE",
    read=read,
    shapes=(("subject", "src", "alt"), ("subject", "src", "answers")),
    subsets=("alt", "answers"),
    taught={
        "alt": "the alternative answer (alt), as MEND and EasyEdit do; FastEdit, ROME and MEMIT teach the gold answer",
        "answers": "the record's gold answer (answers), as FastEdit, ROME and MEMIT do; MEND and EasyEdit teach alt",
    },
    home="https://rome.baulab.info (zsre_mend_eval.json)",
)
