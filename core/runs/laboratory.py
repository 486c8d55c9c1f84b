"""What stays in a process between runs: the loaded model and what was computed about it alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path

import torch

from core.editing.defaults import defaults, statistics_tokens
from core.editing.session import EditSession, model_info
from core.editing.statistics import cached_moments, hash_texts
from core.errors import UserError
from core.models.language_model import LanguageModel
from core.models.loading import ASSETS, load_model
from core.runs.spec import RunSpec, StatisticsSpec

POCKET = RunSpec.model_validate({"facts": {"source": "pocket"}, "lanes": [{"method": "memit"}]})
NOT_GENERAL = (
    "The statistics of this model's layers (C0) come from the lab's small embedded world, which is not general text. "
    "For results that count, name a text file (a paragraph a line) as statistics.texts."
)


MOST_MEMO = 2**29  # bytes of factors and decompositions that one run may leave to the next


class Laboratory:
    """One model at a time, and its statistics. `home` keeps what took long, `assets` has the pocket model."""

    def __init__(self, home: Path, assets: Path = ASSETS):
        self.home, self.assets = home, assets
        self._key: tuple[str, str, str] | None = None
        self._model: LanguageModel | None = None
        self._session: tuple[tuple[str, int, int], EditSession] | None = None

    def has(self, model: str, device: str, dtype: str) -> bool:
        """Whether this model of a spec is the one that is loaded."""
        return self._model is not None and self._key == (model, device, dtype)

    def model(self, spec: RunSpec) -> LanguageModel:
        """The model of a spec, loaded if it is not the loaded one (which is let go of first)."""
        steady_threads()
        if self._model is None or self._key != _key(spec):
            self._model = self._session = self._key = None
            self._model = load_model(spec.model, spec.device, spec.dtype, assets=self.assets)
            self._key = _key(spec)
        return self._model

    def session(
        self,
        spec: RunSpec,
        layers: Sequence[int],
        heartbeat: Callable[[], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> EditSession:
        """The statistics of these layers, gathered or read, with all that editing has derived from them so far."""
        lm = self.model(spec)
        corpus, texts = self._texts(spec.statistics)
        tokens = spec.statistics.tokens or statistics_tokens(model_info(lm))
        key = (corpus, tokens, spec.seed)
        if self._session is None or self._session[0] != key:
            self._session = (key, EditSession(lm, {}, spec.seed))
        session = self._session[1]
        if weight(session.memo) > MOST_MEMO:
            session.memo.clear()
        missing = [layer for layer in layers if layer not in session.moments]
        if missing:
            folder = self.home / "statistics" / lm.fingerprint[:16]
            found = cached_moments(folder, lm, missing, texts, corpus, tokens, heartbeat=heartbeat, progress=progress)
            session.moments = {**session.moments, **found}
        return session

    def warnings(self, spec: RunSpec) -> list[str]:
        """What the person should know about these statistics before believing the results."""
        return [NOT_GENERAL] if spec.statistics.texts is None and spec.model != "pocket" else []

    def warm_up(self, heartbeat: Callable[[], None] | None = None) -> Iterator[str]:
        """Load what a first run probably wants, piece by piece; yields what comes next. Failures wait for that run.

        `heartbeat` is called within the piece that takes longest, where statistics are gathered for the first time.
        """
        try:
            yield "loading the model"
            info = model_info(self.model(POCKET))
            yield "reading the model's statistics"
            usual: Mapping = defaults(info, "memit")
            session = self.session(POCKET, usual["layers"].value, heartbeat)
            for layer in usual["layers"].value:
                yield "decomposing the model's weights"
                session.svd(layer)
            yield "loading the tasks"
            import_module("core.measures.session")
            import_module("lm_eval.evaluator")
        except (UserError, ImportError) as error:
            print(f"{time.strftime('%F %T')} not warmed up: {error}", file=sys.stderr, flush=True)

    def _texts(self, given: StatisticsSpec) -> tuple[str, Callable[[], Iterable[str]]]:
        """(a name for the corpus that changes with its content, its texts)."""
        path = Path(given.texts).expanduser() if given.texts else self.assets / "pocket" / "world" / "corpus.txt"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            where = "statistics.texts" if given.texts else "the embedded world"
            raise UserError(f"{where}: {path} cannot be read as UTF-8 text ({error})") from None
        texts = [line for line in lines if line.strip()]
        if not texts:
            raise UserError(f"statistics.texts: {path} is empty; give a text file with a paragraph a line")
        return hash_texts(texts), lambda: chain(texts)


def steady_threads() -> None:
    """Let every sum be split over the same number of threads, so that a spec gives the same bits in every process.

    Said aloud, torch's number of threads binds its linear algebra too, which otherwise takes as many as it sees fit.
    """
    torch.set_num_threads(torch.get_num_threads())


def weight(memo: Mapping) -> int:
    """Bytes of the tensors in a session's memory, bare or inside a record."""
    parts = chain.from_iterable(
        [value, *vars(value).values()] if hasattr(value, "__dict__") else [value] for value in memo.values()
    )
    return sum(part.numel() * part.element_size() for part in parts if isinstance(part, torch.Tensor))


def _key(spec: RunSpec) -> tuple[str, str, str]:
    return spec.model, spec.device, spec.dtype
