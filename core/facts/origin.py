"""Where the records of a dataset are: a file, a folder, or the hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.facts.files import SUFFIXES, read_file

HUB = "hf://datasets/"
LISTED = 5  # files or splits in a message
SAVED = ("state.json", "dataset_dict.json")  # what `datasets` leaves in a folder that it has written


def rows_at(place: str, split: str = "", usual: str = "") -> list[Any]:
    """The rows at a place. Raises `UserError` if something does not exist or is ambiguous.

    `place` is a file; a folder with one file, or with several of which one is named like `usual`, or one that
    `datasets` has saved; a hub dataset id ("owner/name"); or one file of it
    ("hf://datasets/owner/name/folder/file.json"). Local files are read without the network. `split` chooses from splits
    ("train", or "train+test").
    """
    if place.startswith(HUB):
        return _from_hub(place.removeprefix(HUB), split)
    try:
        path = Path(place).expanduser()
        if path.is_dir():
            return _folder(path, split, usual)
        exists = path.exists()
    except (OSError, RuntimeError) as error:
        raise UserError(f"{place[:200]}: no such file ({error})") from None
    if not exists and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", place) and path.suffix.lower() not in SUFFIXES:
        return _from_hub(place, split)
    return _file(path, split)


def _file(path: Path, split: str) -> list[Any]:
    if split:
        raise UserError(f'{path}: a file has no splits; leave "split" out')
    return read_file(path)


def _folder(folder: Path, split: str, usual: str) -> list[Any]:
    if any((folder / name).is_file() for name in SAVED):
        import datasets  # takes seconds

        return _chosen(_loaded(folder, lambda: datasets.load_from_disk(str(folder))), split, str(folder))
    inside = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file())
    files = [path for path in inside if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    chosen = [path for path in files if usual and path.name == Path(usual).name] or files
    if len(chosen) == 1:
        return _file(chosen[0], split)
    if not files:
        raise UserError(f"{folder}: a folder without files of facts ({', '.join(SUFFIXES)})")
    raise UserError(f"{folder}: holds {_list(path.relative_to(folder) for path in files)}; give the path of one")


def _from_hub(place: str, split: str) -> list[Any]:
    owner, _, rest = place.partition("/")
    name, _, file = rest.partition("/")
    if not owner or not name:
        raise UserError(f"{HUB}{place}: a hub dataset is given as {HUB}owner/name, or {HUB}owner/name/file.json")
    if file:
        import huggingface_hub

        fetched = _loaded(
            f"{HUB}{place}", lambda: huggingface_hub.hf_hub_download(f"{owner}/{name}", file, repo_type="dataset")
        )
        return read_file(Path(fetched))
    import datasets

    return _chosen(_loaded(place, lambda: datasets.load_dataset(place)), split, place)


def _loaded(place: Any, load: Callable[[], Any]) -> Any:
    """The result of `load`; its errors become one line."""
    try:
        return load()
    except Exception as error:  # whatever transports, formats and hubs raise: to the person it is all the same
        cause = " ".join(str(error).split())[:300]
        raise UserError(
            f"{place}: could not be loaded ({cause or type(error).__name__}); check the id and the network, or fetch"
            ' the file and give it as "path"'
        ) from None


def _chosen(loaded: Any, split: str, place: str) -> list[Any]:
    """The rows of a loaded dataset: its only split, or the requested ones, in that order."""
    if not isinstance(loaded, Mapping):
        return list(loaded)
    names = split.split("+") if split else list(loaded)
    if unknown := [name for name in names if name not in loaded]:
        raise UserError(f'{place}: no split "{unknown[0]}"; it has {_list(loaded)}')
    if not split and len(names) != 1:
        raise UserError(f'{place}: has the splits {_list(loaded)}; choose with "split"')
    return [row for name in names for row in loaded[name]]


def _list(names: Iterable[Any]) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
