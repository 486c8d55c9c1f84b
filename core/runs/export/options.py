"""The kinds of exports and their options. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from core import ceiling
from core.errors import UserError, nearest

KINDS = {
    "zip": "the run: spec, tables, events, versions, and figures and ledger where asked",
    "snippet": "a Python file that repeats the run",
    "factors": "a lane's change as low-rank factors (safetensors)",
    "lora": "a lane's change as a LoRA adapter for peft (folder)",
    "model": "the edited model with its tokenizer, as save_pretrained writes them (folder)",
}
OF_A_RUN = ("zip", "snippet")  # the others are of a lane's round
OF_KIND = {"zip": ("figures", "ledger"), "lora": ("rank", "error", "dtype")}
DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of an export.

    zip: `figures` is a folder whose files are included; `ledger` includes the updates of all rounds. lora: at most
    `rank` columns per layer, or the smallest rank with a relative error of at most `error` (both None: exact), in
    `dtype`.
    """

    figures: Path | None = None
    ledger: bool = False
    rank: int | None = None
    error: float | None = None
    dtype: str = "float32"

    @classmethod
    def checked(cls, kind: str, values: Mapping[str, Any]) -> ExportOptions:
        """The options of a kind from their names and values. Raises `UserError` for an unknown or unsuitable option."""
        if kind not in KINDS:
            raise UserError(f'there is no export "{kind}"; {nearest(kind, KINDS)}')
        known = {entry.name for entry in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise UserError(f'an export has no option "{name}"; {nearest(str(name), known)}')
            if name not in OF_KIND.get(kind, ()) and value != getattr(cls, name):
                takers = [taker for taker, names in OF_KIND.items() if name in names]
                raise UserError(f'"{name}" is an option of {", ".join(takers)}, not of {kind}; leave it out')
        folder = values.get("figures")
        options = cls(**{**values, "figures": None if folder is None else Path(folder)})
        options._check()
        return options

    def _check(self) -> None:
        if self.rank is not None and (type(self.rank) is not int or not 1 <= self.rank <= ceiling.WIDTH):
            raise UserError(f"rank should be a whole number of 1 to {ceiling.WIDTH:,}, not {self.rank!r}")
        if self.error is not None:
            number = isinstance(self.error, (int, float)) and not isinstance(self.error, bool)
            if not number or not math.isfinite(self.error) or not 0 <= self.error < 1:
                raise UserError(f"error should be a share of at least 0 and less than 1, not {self.error!r}")
        if self.dtype not in DTYPES:
            raise UserError(f'there is no type "{self.dtype}" for an adapter; {nearest(str(self.dtype), DTYPES)}')
        if self.figures is not None and not self.figures.is_dir():
            raise UserError(f"{self.figures}: is no folder; figures are given as a folder of files")


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to export: a `kind` of `KINDS` and its options as in `ExportOptions`. `lane` defaults to the only lane,
    `round` to that lane's last round; a kind of `OF_A_RUN` takes neither."""

    kind: str
    lane: str | None = None
    round: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def checked_options(self) -> ExportOptions:
        """The options; raises `UserError` for an unknown kind, and for an unknown or unsuitable option."""
        return ExportOptions.checked(self.kind, self.options)
