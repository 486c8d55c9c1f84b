"""A lane of a run as the library shows it, and its model after a round."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from core.facts.fact import Fact
from core.measures.outside.scores import Answers, score_facts, summarise
from core.runs.library.arguments import fact_of
from core.runs.library.model import ask
from core.runs.library.results import Answer, Result
from core.runs.opened.run import LaneAt, OpenedLane, Weights
from core.runs.opened.study import study

if TYPE_CHECKING:
    import pandas as pd

    from core.editing.lane.state import LayerUpdates


class Lane:
    """One lane of a run: `run["MEMIT"]`."""

    def __init__(self, opened: OpenedLane):
        self._opened = opened

    @property
    def label(self) -> str:
        """The lane's name."""
        return self._opened.label

    @property
    def recipe(self) -> dict[str, Any]:
        """The method, guards, prior and wrapper, every hyperparameter resolved."""
        return self._opened.recipe.as_dict()

    @property
    def rounds(self) -> list[int]:
        """The edited rounds, ascending."""
        return self._opened.rounds

    def at(self, round: int | None = None) -> State:
        """The lane's model after a round: 0 is the unedited model, the last round is the default. Raises `UserError`
        for a round that was not edited."""
        return State(self._opened.at(None if round is None else int(round)))  # a number of a table is one of numpy's

    def __repr__(self) -> str:
        return f"<lane {self.label}: rounds 0 to {self._opened.last}>"


class State:
    """A lane's model after a round: `run["MEMIT"].at(3)`, rebuilt from the run's ledger, bit for bit."""

    def __init__(self, at: LaneAt):
        self._at = at

    @property
    def round(self) -> int:
        """The round; 0 is the unedited model."""
        return self._at.round

    @property
    def weights(self) -> Weights:
        """W_t of each edited layer's down-projection, [d_out, d_in], by layer; empty at round 0."""
        return self._at.weights

    @property
    def update(self) -> LayerUpdates:
        """The round's low-rank updates by layer, before (`raw`) and after the guards, its keys and values."""
        return self._at.update

    @property
    def edited(self) -> list[Fact]:
        """The facts edited up to this round, in order."""
        facts = self._at.lane.run.facts.edit
        return [facts[index] for index in self._at.lane.edited_by(self.round)]

    def worn(self) -> AbstractContextManager[None]:
        """The model has these weights within the `with` block, and its earlier weights afterwards."""
        return self._at.worn()

    def ask(self, prompt: str, new_tokens: int = 20, top: int = 10) -> Answer:
        """The model's answer to a prompt. Raises `UserError` for a prompt that is empty or too long."""
        with self.worn():
            return ask(self._at.lane.run.lm, prompt, new_tokens, top)

    def score(self, facts: Iterable[Fact | Mapping[str, Any]] | None = None) -> Result:
        """Efficacy, paraphrase and neighborhood scores of facts, by default of all facts edited up to this round.

        `frame()` has a row per fact, `frame("mean")` the means. A score is the share of a fact's questions at which the
        expected answer is likelier than its competitor; `_exact`: at which each of its tokens is the arg-max.
        """
        scored_facts = self.edited if facts is None else [fact_of(fact) for fact in facts]
        with self.worn():
            rows = score_facts(Answers(self._at.lane.run.lm), scored_facts)
        about = [{"subject": fact.subject, "prompt": fact.text, "target": fact.target} for fact in scored_facts]
        return Result(
            title=f"{self._at.lane.label} after round {self.round}",
            tables={
                "facts": [columns | row for columns, row in zip(about, rows, strict=True)],
                "mean": [{"facts": len(rows), **summarise(rows)}],
            },
            protocol="probability comparison per token, and arg-max (_exact); every question of every fact",
        )

    def study(self, name: str, **options: Any) -> Result:
        """A study of this lane at this round (`python -m core measure --studies` lists them). Raises `UserError`."""
        lane = self._at.lane
        return Result.of_study(study(lane.run, name, options, [lane.label], str(self.round)))

    def __repr__(self) -> str:
        return f"<{self._at.lane.label} after round {self.round}>"


def table(path: Any, texts: bool = False) -> pd.DataFrame:
    """A table of a run's folder. Cells such as "NA" stay text. Empty cells are missing values, or "" with `texts`."""
    import pandas as pd

    if texts:
        return pd.read_csv(path, keep_default_na=False, na_filter=False)
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"lane": str})
