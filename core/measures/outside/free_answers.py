"""What the model says by itself: facts asked by free generation, as in the R_k paper.

No token of an answer is given. The model continues the prompt greedily, by the lane's own rule of inference, and its
first line is compared with the accepted answers, both normalised (case, punctuation, articles):

    _free_exact     the first sentence is an accepted answer
    _free_contains  an accepted answer stands in the line as whole words
    _free_judged    a language model finds that the line agrees with the first accepted answer

Accepted are the new object and its aliases for the fact (`efficacy`) and its paraphrases (`paraphrase`), the dataset's
answers for neighbors (`neighborhood`), locality and portability questions. The paper's judge is a model of 72 billion
parameters; its locality is agreement with the dataset's answer, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.facts.fact import Fact
from core.measures.outside.free_text import contains_match, exact_match, first_line
from core.measures.outside.greedy import answer_lengths, decoded, greedy_ids
from core.measures.outside.judge import Judge
from core.measures.outside.metrics import Query, about_edit, about_neighbors, about_portability
from core.models.language_model import LanguageModel

ASKED = ("efficacy", "paraphrase", "neighborhood", "locality", "portability")
MATCHES = ("exact", "contains", "judged")
OF_KIND = {"edit": "efficacy", "paraphrase": "paraphrase", "neighborhood": "neighborhood"}  # others: locality

Values = dict[str, list[tuple[int, float]]]  # (fact, value) pairs by column


def column(asked: str, match: str) -> str:
    """The column of rounds.csv for a question of `ASKED` and a match of `MATCHES`."""
    return f"{asked}_free_{match}"


@dataclass(frozen=True)
class FreeAnswers:
    """Answers of up to `tokens` tokens, more where an accepted answer is longer; a `judge` if one is named."""

    lm: LanguageModel
    tokens: int
    judge: Judge | None = None

    def values(
        self,
        facts: Sequence[tuple[int, Fact]],
        paraphrases: int | None = None,
        most: int | None = None,
        beat: Callable[[], None] | None = None,
    ) -> tuple[Values, int]:
        """(the value of each question of these (index, fact) pairs by column, how many answers ended early because
        their logits were not finite). At most so many paraphrases, and `most` other questions of each kind."""
        asked = [each for index, fact in facts for each in questions(index, fact, paraphrases, most)]
        said, broken = self.said([query for _, query in asked], beat)
        values: Values = {}
        for (name, query), text in zip(asked, said, strict=True):
            for match, right in (("exact", exact_match), ("contains", contains_match)):
                values.setdefault(column(name, match), []).append((query.fact, float(right(text, query.answers))))
        if self.judge is not None and asked:
            triples = [(q.prompt, q.answers[0], first_line(text)) for (_, q), text in zip(asked, said, strict=True)]
            agreed, _ = self.judge.verdicts(triples, beat)
            for (name, query), verdict in zip(asked, agreed, strict=True):
                values.setdefault(column(name, "judged"), []).append((query.fact, float(verdict)))
        return values, broken

    def said(self, queries: Sequence[Query], beat: Callable[[], None] | None = None) -> tuple[list[str], int]:
        """(the answer to each question, how many ended early). Each prompt is continued once, up to a line's end."""
        pairs = [(query.prompt, answer) for query in queries for answer in query.answers]
        needed: dict[str, int] = {}
        for (prompt, _), length in zip(pairs, answer_lengths(self.lm, pairs), strict=True):
            needed[prompt] = max(needed.get(prompt, self.tokens), length)
        ids, broken = greedy_ids(self.lm, list(needed), list(needed.values()), beat, line=True)
        texts = dict(zip(needed, decoded(self.lm, ids), strict=True))
        return [texts[query.prompt] for query in queries], broken


def questions(
    index: int, fact: Fact, paraphrases: int | None = None, most: int | None = None
) -> list[tuple[str, Query]]:
    """(one of `ASKED`, question) for all questions of a fact."""
    about = [*about_edit(index, fact, paraphrases), *about_neighbors(index, fact, most)]
    named = [(OF_KIND.get(query.kind, "locality"), query) for query in about]
    return named + [("portability", query) for query in about_portability(index, fact, most)]
