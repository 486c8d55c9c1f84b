"""What a process keeps between runs: the loaded model and what was computed from it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import torch

from core.editing.lane.session import EditSession, model_info
from core.editing.lane.state import LaneState
from core.editing.recipe import recipe_from_dict
from core.editing.rounds.edit_round import edit_round
from core.editing.settings.defaults import statistics_tokens
from core.editing.statistics.cache import cached_moments, uncached
from core.editing.statistics.corpus import Corpus, dataset_corpus, file_corpus
from core.editing.statistics.second_moment import Gathering, ToGather
from core.editing.statistics.written import ASIDE, STATISTICS, Writing, unwritten, written_corpus
from core.errors import UserError
from core.facts.fact import Fact
from core.models.gguf import Say
from core.models.language_model import LanguageModel
from core.models.loading import load_model
from core.paths import ASSETS
from core.recent import Recent
from core.runs.spec.run_spec import RunSpec

POCKET = RunSpec.model_validate({"facts": {"source": "pocket"}, "lanes": [{"method": "memit"}]})
WROTE_ITSELF = (
    "The statistics of this model's layers (C0) come from text that the unedited model wrote itself (sampled by a seed,"
    " cached). For results that are compared with published ones, name a text file (a paragraph a line) as"
    " statistics.texts, or a statistics.dataset."
)
TRIED = Fact(subject="France", prompt="The capital of {} is", target="Rome", truth="Paris")
STEP_SECONDS = 1800.0  # that one step may take without a sign of life; decompositions of large layers come on top
LOADING_SECONDS = 3 * 3600.0  # the same while a model is loaded, which may have to be fetched
SLOW = {"cpu": 2e9, "cuda": 2e11}  # operations a second of a busy computer's float64 decompositions
DECOMPOSITION = 25  # operations of a decomposition, times the cube of a layer's width
MOST_MEMO = 2**29  # bytes of factors and decompositions that one run may leave to the next


class Laboratory:
    """One model at a time, and its statistics. `home` stores statistics, `assets` has the pocket model. `recent` caches
    states, facts and answers of opened runs."""

    def __init__(self, home: Path, assets: Path = ASSETS):
        self.home, self.assets = home, assets
        self.recent = Recent()
        self._key: tuple[str, str, str, bool] | None = None
        self._model: LanguageModel | None = None
        self._loading = False
        self._session: tuple[tuple[str, int, bool, int], EditSession] | None = None

    def has(self, spec: RunSpec) -> bool:
        """Whether the model of a spec is the one that is loaded."""
        return self._model is not None and self._key == _key(spec)

    def model(self, spec: RunSpec, say: Say = lambda line: None) -> LanguageModel:
        """The model of a spec. If another one is loaded, that is released first. `say` is told of a conversion."""
        steady_threads()
        if self._model is None or self._key != _key(spec):
            self._model = self._session = self._key = None
            self.recent.clear()  # its values belong to the former model
            self._loading = True
            try:
                self._model = load_model(
                    spec.model, spec.device, spec.dtype, False, self.assets, spec.chat, self.home, say
                )
            finally:
                self._loading = False
            self._key = _key(spec)
        return self._model

    def patience(self) -> float:
        """Seconds without a heartbeat after which work on the loaded model counts as hung. It is several times the
        longest single call, the float64 decomposition of a matrix as wide as the FFN."""
        lm = self._model
        if self._loading:
            return LOADING_SECONDS
        if lm is None:
            return STEP_SECONDS
        return STEP_SECONDS + DECOMPOSITION * lm.d_ffn**3 / SLOW.get(lm.device.type, SLOW["cpu"])

    def session(
        self,
        spec: RunSpec,
        layers: Sequence[int],
        heartbeat: Callable[[], None] | None = None,
        progress: Callable[[Gathering | Writing], None] | None = None,
    ) -> EditSession:
        """A session with the statistics of these layers, gathered or read, and what editing has derived from them."""
        lm = self.model(spec)
        corpus, skip_bos, tokens = self._corpus(spec), spec.statistics.skip_bos, self._tokens(spec)
        key = (corpus.name if corpus else "written", tokens, skip_bos, spec.seed)
        if self._session is None or self._session[0] != key:
            self._session = (key, EditSession(lm, {}, spec.seed, trained=self.home / "trained"))
        session = self._session[1]
        if weight(session.memo) > MOST_MEMO:
            session.memo.clear()
        missing = [layer for layer in layers if layer not in session.moments]
        if missing:
            corpus = corpus or self.writer(spec, heartbeat, progress, STATISTICS)(tokens)
            moments = cached_moments(self._statistics(lm), lm, missing, corpus, tokens, skip_bos, heartbeat, progress)
            session.moments = {**session.moments, **moments}
        return session

    def to_gather(self, spec: RunSpec, layers: Sequence[int]) -> ToGather:
        """What `session` has yet to do for the statistics of these layers."""
        lm, tokens = self.model(spec), self._tokens(spec)
        corpus = self._corpus(spec)
        if corpus is None:
            if text := unwritten(self.home / "written", lm, tokens):
                return ToGather(text, tokens, tuple(layers))
            corpus = self.writer(spec, seed=STATISTICS)(tokens)
        missing = uncached(self._statistics(lm), lm, layers, corpus, tokens, spec.statistics.skip_bos)
        return ToGather(0, tokens, tuple(missing)) if missing else ToGather()

    def warnings(self, spec: RunSpec) -> list[str]:
        """Warnings about the model and its statistics."""
        return [*self.model(spec).notes, *([WROTE_ITSELF] if writes_itself(spec) else [])]

    def writer(
        self,
        spec: RunSpec,
        heartbeat: Callable[[], None] | None = None,
        progress: Callable[[Writing], None] | None = None,
        seed: int = ASIDE,
    ) -> Callable[[int], Corpus]:
        """A function that has the unedited model write at least so many tokens: for R_k and the perplexity, or another
        text by another seed."""
        place, lm = self.home / "written", self.model(spec)
        return lambda tokens: written_corpus(place, lm, tokens, seed, heartbeat, progress)

    def warm_up(self, heartbeat: Callable[[], None] | None = None) -> Iterator[str]:
        """Load what a first run probably needs, in steps; yields the name of the next step. Errors are only printed.

        `heartbeat` is called during the longest step, when statistics are gathered for the first time.
        """
        try:
            yield "loading the model"
            lm = self.model(POCKET)
            recipe = recipe_from_dict({"method": "memit"}, model_info(lm))
            yield "reading the model's statistics"
            session = self.session(POCKET, recipe.layers, heartbeat)
            for layer in recipe.layers:
                yield "decomposing the model's weights"
                session.svd(layer)
            yield "loading the tasks"
            import_module("core.measures.session")
            import_module("lm_eval.evaluator")
            yield "trying an edit"  # so that the first round finds all that rounds share: contexts, factors of C0
            edit_round(lm, LaneState.base(lm, recipe.layers), [TRIED], recipe, session, heartbeat)
        except (UserError, ImportError) as error:
            print(f"{time.strftime('%F %T')} not warmed up: {error}", file=sys.stderr, flush=True)

    def _tokens(self, spec: RunSpec) -> int:
        """How many tokens the statistics are gathered from."""
        return spec.statistics.tokens or statistics_tokens(model_info(self.model(spec)))

    def _statistics(self, lm: LanguageModel) -> Path:
        """The folder of a model's statistics."""
        return self.home / "statistics" / lm.fingerprint[:16]

    def _corpus(self, spec: RunSpec) -> Corpus | None:
        """The corpus that statistics are gathered from; None if the model is to write it."""
        settings = spec.statistics
        if settings.dataset is not None:
            return dataset_corpus(
                settings.dataset, settings.subset, settings.split, settings.column, "statistics.dataset"
            )
        if settings.texts is not None:
            return file_corpus(Path(settings.texts).expanduser(), "statistics.texts")
        if writes_itself(spec):
            return None
        return file_corpus(self.assets / "pocket" / "world" / "corpus.txt", "the embedded world")


def writes_itself(spec: RunSpec) -> bool:
    """Whether the model of a spec writes the text for its statistics: none is named, and the lab has none for it."""
    return not spec.statistics.general and spec.model != "pocket"


def steady_threads() -> None:
    """Fix the number of threads, so that a spec gives the same bits in every process.

    Setting torch's number of threads explicitly also fixes that of its linear algebra libraries.
    """
    torch.set_num_threads(torch.get_num_threads())


def weight(memo: object) -> int:
    """Bytes of all tensors nested in a session's memo; shared storage counts once."""
    bytes_by_storage: dict[int, int] = {}
    pending, seen = [memo], set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            bytes_by_storage[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        elif isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, (list, tuple)):
            pending.extend(value)
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            pending.extend(vars(value).values())
    return sum(bytes_by_storage.values())


def _key(spec: RunSpec) -> tuple[str, str, str, bool]:
    return spec.model, spec.device, spec.dtype, spec.chat
