"""Methods that learn something about a model before they edit it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.editing.lane.method import Method

if TYPE_CHECKING:
    from core.editing.lane.session import EditSession
    from core.editing.training.loop import Learner


class LearningMethod(Method):
    """What its `learner` learns is trained once per model and settings, and kept (`core.editing.training`)."""

    @abstractmethod
    def learner(self, session: EditSession) -> Learner:
        """What is trained on the session's model."""

    def prepare(
        self,
        session: EditSession,
        heartbeat: Callable[[], None] | None = None,
        progress: Callable[[Any], None] | None = None,
    ) -> dict[str, Any]:
        """The learner's parameters: read, or trained."""
        from core.editing.training.loop import learnt

        return learnt(session, self.learner(session), heartbeat, progress)
