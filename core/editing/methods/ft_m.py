"""FT-M: FT-L with the target tokens predicted in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.editing.lane.targets import eos_option
from core.editing.methods.ft_l import FtL
from core.editing.settings.defaults import Default, ModelInfo


@dataclass(frozen=True, kw_only=True)
class FtM(FtL):
    """− log p of each target token after the prompt and the target tokens before it (Zhang et al. 2024, KnowEdit)."""

    title: ClassVar[str] = "FT-M"
    paper: ClassVar[str] = "arXiv 2401.01286"
    teacher_forced: ClassVar[bool] = True
    eos: bool = eos_option()  # type: ignore[misc]  # FT-L has one distribution for all tokens, and no end

    @classmethod
    def usual(cls, model: ModelInfo) -> dict[str, Default]:
        """FT-L's settings without its bound."""
        return {name: default for name, default in super().usual(model).items() if name != "bound"}


METHOD = FtM
