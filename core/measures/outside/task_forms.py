"""Tasks in the form of a paper: its prompt and its metric, with data from the hub or from a file.

MOSE uses the prompts of its Table 5 for RTE, Natural Questions (with the passage), SAMSum and SST-2; FastEdit uses the
prompt of its App. B.2 for SST-2. A form requested by name takes its data from the hub; a folder of JSONL files has rows
with the form's fields, which identify it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
SENTIMENTS, TRUTHS = ["negative", "positive"], ["True", "False"]


@dataclass(frozen=True)
class Form:
    """`prompt` has the fields of a row in braces. Multiple choice has `choices` and the index `answer`; generated
    text, of at most `tokens`, is rated by `rate` against `wanted`. `data` is (dataset, subset, split) on the hub."""

    prompt: str
    metric: str
    data: tuple[str, str | None, str] | None
    source: str
    choices: Sequence[str] = ()
    answer: str = "label"
    rate: Callable[[str, Sequence[str]], float] | None = None
    tokens: int = 64

    @property
    def fields(self) -> list[str]:
        """The fields of a row."""
        return [*re.findall(r"{(\w+)}", self.prompt), self.answer]

    def fits(self, row: Row) -> bool:
        """Whether a row has the fields, with the right types."""
        *inputs, answer = self.fields
        if not all(isinstance(row.get(name), str) for name in inputs):
            return False
        if self.rate is None:
            return type(row.get(answer)) is int and 0 <= row[answer] < len(self.choices)
        return bool(self.wanted(row)) and all(isinstance(text, str) for text in self.wanted(row))

    def wanted(self, row: Row) -> list[Any]:
        """The reference answers of generated text."""
        answer = row.get(self.answer)
        return list(answer) if isinstance(answer, (list, tuple)) else [] if answer is None else [answer]

    def config(self, name: str, rows: Any | None) -> dict[str, Any]:
        """The harness's configuration; `rows` are its data if they are available."""
        shared: dict[str, Any] = {
            "task": name,
            "doc_to_text": lambda row: self.prompt.format(**row),
            "num_fewshot": 0,
            "metric_list": [{"metric": self.metric, "aggregation": "mean", "higher_is_better": True}],
            "metadata": {"version": 1.0},
        }
        if rows is not None:
            shared |= {"custom_dataset": lambda **_: {"test": rows}, "test_split": "test"}
        elif self.data is not None:
            path, subset, split = self.data
            shared |= {"dataset_path": path, "dataset_name": subset, "test_split": split}
        if self.rate is None:
            how: dict[str, Any] = {
                "output_type": "multiple_choice",
                "doc_to_choice": lambda row: list(self.choices),
                "doc_to_target": lambda row: int(row[self.answer]),
                "target_delimiter": " ",
            }
        else:
            how = {
                "output_type": "generate_until",
                "doc_to_target": lambda row: self.wanted(row)[0],
                "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": self.tokens, "do_sample": False},
                "process_results": lambda row, outputs: {self.metric: self.rate(outputs[0], self.wanted(row))},
            }
        return {**shared, **how}


def rouge(text: str, answers: Sequence[str]) -> float:
    """The mean of the F-measures of ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004), words stemmed; 0..1."""
    from rouge_score.rouge_scorer import RougeScorer

    scores = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True).score_multi(list(answers), text)
    return sum(score.fmeasure for score in scores.values()) / len(scores)


def exact_match(text: str, answers: Sequence[str]) -> float:
    """1 if the first line is one of the answers, both without case, punctuation and articles (Chen et al. 2017)."""
    lines = text.strip().splitlines() or [""]
    return float(normal(lines[0]) in map(normal, answers))


def normal(text: str) -> str:
    """The text without case, punctuation, articles and spare spaces."""
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


MOSE, FASTEDIT = "MOSE, Table 5", "FastEdit, App. B.2"
SENTIMENT = (
    "For each snippet of text, label the sentiment of the text as positive or negative. The answer should be exact"
    " 'positive' or 'negative'. text: {sentence} answer:"
)
FORMS: dict[str, Form] = {
    "mose_nli": Form(
        "{sentence1} entails the {sentence2}. True or False? answer:",
        "acc", ("nyu-mll/glue", "rte", "validation"), MOSE, TRUTHS,
    ),
    "mose_nq": Form(
        "Refer to the passage below and answer the following question. Passage: {passage} Question: {question}",
        "exact_match", None, MOSE, answer="answers", rate=exact_match, tokens=32,
    ),
    "mose_samsum": Form(
        "{dialogue} TL;DR:",
        "rouge", ("knkarthick/samsum", None, "test"), MOSE, answer="summary", rate=rouge,
    ),
    "mose_sst2": Form(SENTIMENT, "acc", ("nyu-mll/glue", "sst2", "validation"), MOSE, SENTIMENTS),
    "fastedit_sst": Form(
        "Review:{sentence}\nSentiment:", "acc", ("nyu-mll/glue", "sst2", "validation"), FASTEDIT, SENTIMENTS
    ),
}  # fmt: skip


def form_of(row: Row, name: str) -> Form | None:
    """The form of a file's rows: the one it is named after (`fastedit_sst.jsonl`), or the one of the rows' fields."""
    named = FORMS.get(name)
    if named is not None:
        return named
    return next((form for form in FORMS.values() if all(field in row for field in form.fields)), None)
