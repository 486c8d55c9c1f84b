"""What is measured, how often, and on how many samples.

Torch-free: specs embed it, and the page draws its controls from it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from core import ceiling
from core.names import Names

Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
PATH = StringConstraints(min_length=1, max_length=4096)
Round = Annotated[int, Field(ge=1, le=ceiling.FACTS)]
MOST_ROUNDS = 200  # of a list of measured rounds


class ReadDataset(BaseModel):
    """The texts in a column of a `dataset`: a hub id, or a folder of text, JSON, CSV or Parquet files, streamed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: Annotated[str, Names.DATA] = Field(min_length=1)
    subset: Annotated[str | None, Names.TEXT] = None
    split: Annotated[str, Names.TEXT] = Field(default="train", min_length=1)
    column: Annotated[str, Names.TEXT] = Field(default="text", min_length=1)


class MeasureConfig(BaseModel):
    """The `measure` field of a spec. Every number here trades time for precision, and is stored with the results."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: int = Field(
        default=1, ge=1, le=ceiling.FACTS, description="measure after every so many rounds (the last one always)"
    )
    rounds: list[Round] | None = Field(
        default=None,
        max_length=MOST_ROUNDS,
        description="measure after these rounds instead, such as [1, 2, 5, 10, 20, 50, 100], and after the last one; "
        "rounds that the run does not have are passed over",
    )
    tasks: Annotated[bool | list[str], Names.TASKS] = Field(
        default=True,
        description="downstream tasks: true (the model's own: of the pocket model those of its world, of others "
        "english), false, or names: english (the lab's own in plain English), what lm-evaluation-harness knows, or a "
        "folder of JSON tasks, as a path: ./mine",
    )
    task_limit: int | None = Field(
        default=25, ge=1, le=ceiling.ITEMS, description="items per task, the same ones each time; null: all"
    )
    sample: int | None = Field(
        default=100,
        ge=1,
        le=ceiling.FACTS,
        description="facts scored per round, of all those edited so far (`scored`); null: all",
    )
    final_sample: int | None = Field(
        default=300, ge=1, le=ceiling.FACTS, description="the same after the last round; null: all"
    )
    paraphrases: int | None = Field(
        default=2, ge=0, le=ceiling.PER_FACT, description="paraphrases scored per fact; null: all"
    )
    neighbors: int | None = Field(
        default=2, ge=0, le=ceiling.PER_FACT, description="neighbors scored per fact; null: all"
    )
    unedited: int | None = Field(
        default=100, ge=0, le=ceiling.FACTS, description="facts never edited that are asked; null: all"
    )
    perplexity: int = Field(
        default=256, ge=0, le=ceiling.READ_TOKENS, description="tokens of `texts` for the perplexity; 0: none"
    )
    texts: Annotated[Annotated[str, PATH] | ReadDataset | None, Names.DATA] = Field(
        default=None,
        description='what R_k and the perplexity are read on: a text file, a paragraph a line; {"dataset", "subset", '
        '"split", "column"}; "statements" of the unedited facts; null: text that the unedited model samples, '
        "and on the pocket model sentences of its world that it was not trained on; for R_k such statements as well",
    )
    generated: int | None = Field(
        default=0,
        ge=0,
        le=ceiling.FACTS,
        description="of the facts scored, how many are asked by free generation as well, with their paraphrases, "
        "neighbors, locality and portability questions (columns `_free_exact`, `_free_contains`); 0: none, null: all",
    )
    answer_tokens: int = Field(
        default=50, ge=1, le=ceiling.WORD_TOKENS, description="tokens of such an answer, at most; it ends with its line"
    )
    judge: Annotated[str | None, Names.MODEL] = Field(
        default=None,
        min_length=1,
        description="a causal language model that judges these answers (`_free_judged`): a folder, a hub id or pocket",
    )
    inside: bool = Field(default=True, description="spectra, subspace similarity and R_k of the edited layers")
    top_rank: Literal["fixed", "recomputed"] = Field(
        default="fixed", description="k of LS and SS: fixed by W0, or recomputed from W_t"
    )
    probe_rows: int | None = Field(
        default=None,
        ge=1,
        le=ceiling.PROBE_ROWS,
        description="tokens for R_k; null: max(4·width, 1024), at most 16,384",
    )
    maps: bool | Literal["pca", "tsne", "umap"] = Field(
        default="pca",
        description='map of representations each measured round: "pca", "tsne" or "umap"; false: none; '
        "true: PCA each round, t-SNE and UMAP on the last",
    )
    map_points: int = Field(
        default=100, ge=4, le=ceiling.POINTS, description="prompts on the map, half of them about unedited facts"
    )
    words: int = Field(
        default=12, ge=0, le=ceiling.SHOWN, description="facts whose continuation is shown before and after"
    )
    final_words: bool = Field(default=True, description="every fact's continuation after the last round (facts.csv)")
    word_tokens: int = Field(default=8, ge=1, le=ceiling.WORD_TOKENS, description="tokens of each continuation")
    probes: Annotated[list[Prompt], Names.TEXT] = Field(
        default=[], max_length=6, description="prompts that are continued at every measured round, at most 6"
    )
    pause_on_warning: bool = Field(default=False, description="pause the run when a lane shows signs of collapse")
    seed: int = Field(default=0, ge=-ceiling.SEED, le=ceiling.SEED)

    @model_validator(mode="after")
    def _fit_together(self) -> MeasureConfig:
        if self.rounds is not None and self.every != 1:
            raise ValueError('give either "every" or "rounds": both say after which rounds to measure')
        if self.judge is not None and self.generated == 0:
            raise ValueError('"judge" is asked about free answers, and none are generated; set "generated" as well')
        return self

    def live_map(self) -> str | None:
        """The method of the map that every measured round gets."""
        if isinstance(self.maps, str):
            return self.maps
        return "pca" if self.maps else None

    def rows_for(self, width: int) -> int:
        """Tokens that R_k is measured on, for activations of this width."""
        return self.probe_rows or min(max(4 * width, 1024), 16_384)
