"""CounterFact (Meng et al. 2022), in its original form and in EasyEdit's flat form.

Original: `requested_rewrite` with a prompt that has a slot, and lists of prompts. Paraphrases and generation prompts
are used unchanged; neighborhood prompts are about subjects with the old object, which is their answer; attribute
prompts are about subjects with the *new* object, which an edit must not change ("attribute" locality).

Both forms may have `references`, texts about subjects with the new object (`attribute_snippets.json` has them by
relation and object): the consistency of generated text is measured against these.

Flat: one `rephrase_prompt`, one `locality_prompt` with its answer, and the subject inside the prompt.
"""

from __future__ import annotations

from core.facts.dataset import Dataset
from core.facts.fact import Fact, Neighbor, Question
from core.facts.record import Record

LONGEST = 20_000  # characters of a reference text


def read(record: Record, subset: str = "") -> list[Fact]:
    """The one fact of a record in either form."""
    return [_original(record) if "requested_rewrite" in record else _flat(record)]


def _original(record: Record) -> Fact:
    rewrite = record.part("requested_rewrite")
    targets = rewrite.part("target_new").need_texts("str")
    truths = rewrite.part("target_true").texts("str")
    return rewrite.fact(
        rewrite.need("subject"),
        rewrite.need("prompt"),
        targets,
        truths,
        paraphrases=record.texts("paraphrase_prompts"),
        neighborhood=tuple(
            Neighbor(prompt=text, answer=truths[0]) for text in record.texts("neighborhood_prompts") if truths
        ),
        locality=tuple(
            Question(prompt=text, answer=targets[0], kind="attribute", aliases=targets[1:])
            for text in record.texts("attribute_prompts")
        ),
        generation=record.texts("generation_prompts"),
        references=record.texts("references", LONGEST),
        relation=rewrite.text("relation_id") or None,
        id=_id(record),
        source="counterfact",
    )


def _flat(record: Record) -> Fact:
    columns = {name: record.data.get(name) for name in ("locality_prompt", "locality_ground_truth")}
    pairs = Record({"neighborhood": columns}, record.row, left_out=record.left_out).parts("neighborhood")
    near = [value for pair in pairs for value in pair.question("", "locality_prompt", "locality_ground_truth")]
    return record.fact(
        record.need("subject"),
        record.need("prompt"),
        record.need_texts("target_new"),
        record.texts("ground_truth"),
        paraphrases=record.texts("rephrase_prompt"),
        neighborhood=tuple(Neighbor(prompt=question.prompt, answer=question.answer) for question in near),
        generation=record.texts("generation_prompts"),
        references=record.texts("references", LONGEST),
        relation=record.text("relation_id") or None,
        id=_id(record),
        source="counterfact",
    )


def _id(record: Record) -> str:
    return f"counterfact-{record.text('case_id') or record.row}"


DATASET = Dataset(
    name="counterfact",
    title="CounterFact",
    read=read,
    shapes=(("requested_rewrite", "paraphrase_prompts"), ("subject", "prompt", "target_new", "locality_prompt")),
    home="https://rome.baulab.info (counterfact.json, multi_counterfact.json)",
    hub={"": "azhx/counterfact"},
    split="train+test",
)
