"""The texts for R_k and the perplexity, which no edit concerns, and their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.editing.statistics.corpus import Corpus, dataset_corpus, file_corpus
from core.facts.fact import Fact
from core.measures.config import MeasureConfig, ReadDataset
from core.models.language_model import LanguageModel

POCKET = "pocket"  # the model whose held-out text is at hand
WHERE = "measure.texts"  # the field of a spec that says what to read
OWN = "text that the unedited model itself sampled"
NO_PROSE = f"there is no general text for this model; give {WHERE} in the spec: a text file, or a dataset"


Write = Callable[[int], Corpus]  # at least so many tokens that the unedited model writes


@dataclass(frozen=True)
class Texts:
    """`drift`: texts for R_k, the preferred ones first; `prose`: texts for the perplexity; and their names.

    If one is empty, its measure is left out.
    """

    drift: Sequence[str] = ()
    prose: Sequence[str] = ()
    drift_name: str = "texts that no edit concerns"
    prose_name: str = "text that no edit concerns"


def texts_for(
    lm: LanguageModel,
    config: MeasureConfig,
    unedited: Sequence[Fact],
    assets: Path,
    write: Write | None = None,
) -> Texts:
    """The texts that `config` names; without any, the available ones.

    Available are statements of the unedited facts, and for the pocket model sentences of its world that it was not
    trained on. Other models are not measured on those sentences: the unedited model writes the text (`write`), and
    without that they have no perplexity. Raises `UserError` for a file or dataset that cannot be read.
    """
    statements = [f"{fact.text} {fact.target}." for fact in unedited]
    name = f"statements of {len(statements):,} facts that no edit concerns"
    if config.texts is None and lm.reference == POCKET:
        aside, world = held_out(assets), "held-out sentences of the pocket world"
        return Texts(statements + aside, aside, f"{name}, then {world}", world)
    if config.texts is None and write is not None and (config.perplexity or config.inside):
        own = list(write(max(config.rows_for(lm.d_model) if config.inside else 0, config.perplexity)).texts())
        return Texts(statements + own, own, f"{name}, then {OWN}", OWN)
    if config.texts is None:
        return Texts(statements, (), name)
    if config.texts == "statements":
        return Texts(statements, statements, name, name)
    # A token counts once for R_k however often its beginning comes, so there should be more of them.
    wanted = max(4 * config.rows_for(lm.d_model), config.perplexity)
    if isinstance(config.texts, ReadDataset):
        source = config.texts
        corpus = dataset_corpus(source.dataset, source.subset, source.split, source.column, WHERE)
        name = f"the dataset {', '.join(filter(None, (public(source.dataset), source.subset, source.split)))}"
    else:
        path = Path(config.texts).expanduser()
        corpus = file_corpus(path, WHERE)
        name = f"the text file {path.name} ({corpus.name[:8]})"
    texts = first_texts(lm, corpus.texts(), wanted)
    return Texts(texts, texts, name, name)


def first_texts(lm: LanguageModel, texts: Iterable[str], tokens: int) -> list[str]:
    """The first texts that hold so many tokens together, or all there are."""
    chosen, total = [], 0
    for text in texts:
        chosen.append(text)
        total += len(lm.encode(text))
        if total >= tokens:
            break
    return chosen


def held_out(assets: Path) -> list[str]:
    """Text of the embedded world that the pocket model was not trained on; empty if it does not exist."""
    path = assets / "pocket" / "world" / "heldout.txt"
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path.exists() else []


def public(dataset: str) -> str:
    """A dataset's hub id; of a local folder only its name."""
    path = Path(dataset).expanduser()
    return path.name if path.is_dir() else dataset
