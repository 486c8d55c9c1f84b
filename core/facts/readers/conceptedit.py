"""ConceptEdit (Wang et al. 2024): the definition of a concept is replaced by that of another.

Subset "intra" takes the other concept from the same super-category, "inter" from another one. The dataset's own file
has both in a record (`module_intra`, `module_inter`, each with `replace_def`). Files prepared for one of them have
`target_new_desc`, and the subset makes no difference. The sentence about another concept is a "concept" locality
question. Instances have no answers of their own and are not read.
"""

from __future__ import annotations

from core.facts.dataset import Dataset
from core.facts.fact import Fact
from core.facts.record import Record

PROMPT = "The definition of {} is"  # as in the dataset, whose own file leaves it out


def read(record: Record, subset: str = "intra") -> list[Fact]:
    """The one fact of a record."""
    prepared = "target_new_desc" in record.data
    targets = (
        record.need_texts("target_new_desc") if prepared else record.part(f"module_{subset}").need_texts("replace_def")
    )
    near = record.question("concept", "locality_prompt", "locality_answer") if "locality_prompt" in record else ()
    return [
        record.fact(
            record.text("concept_name") or record.need("label"),
            record.text("prompt") or PROMPT,
            targets,
            record.texts("concept_def"),
            paraphrases=record.texts("phrase_prompt"),
            locality=tuple(near),
            relation="definition",
            id=f"conceptedit-{record.row}",
            source="conceptedit",
        )
    ]


DATASET = Dataset(
    name="conceptedit",
    title="ConceptEdit",
    read=read,
    shapes=(("concept_name", "module_intra"), ("concept_name", "module_inter"), ("label", "prompt", "target_new_desc")),
    subsets=("intra", "inter"),
    home="https://huggingface.co/datasets/zjunlp/ConceptEdit (concept_data.json)",
)
