"""A run as a zip file. The same folder always gives the same bytes."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from core.measures.config import ReadDataset
from core.runs.store.record import Record, public_name, written_events

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
PACKED = (".safetensors", ".png", ".zip")  # stored as they are: nothing can be saved on them
TABLES = ("*.csv", "maps-*.json")
PIECE = 2**22  # bytes that are copied between two reports

ByteProgress = Callable[[int, int], None]  # (bytes read, bytes in total); may raise


def archive(
    record: Record, out: Path, figures: Path | None = None, ledger: bool = False, report: ByteProgress | None = None
) -> None:
    """Write the zip of a run: `spec.json`, `events.jsonl`, all tables, `versions.json`; optionally the files of the
    folder `figures`, and the ledger of updates.

    Paths on this computer (of the model, of files with facts and texts) are cut to their last part. The owner of the
    run is left out.
    """
    folder = record.folder.path
    texts = {"spec.json": (folder / "spec.json").read_text(encoding="utf-8")}
    texts["events.jsonl"] = written_events(record.folder)
    started = record.started
    versions = {"versions": started["versions"], "model": started["model"], "tasks": record.resolved.get("tasks", {})}
    texts["versions.json"] = json.dumps(versions, indent=2, ensure_ascii=False) + "\n"
    files = {path.name: path for pattern in TABLES for path in folder.glob(pattern)}
    if figures is not None:
        files |= _files(figures, "figures")
    if ledger:
        files |= _files(record.folder.ledger, "ledger")
    names = _paths(record)
    pack(out, files, {name: _public(text, names) for name, text in texts.items()}, report)


def pack(
    out: Path, files: Mapping[str, Path], texts: Mapping[str, str] | None = None, report: ByteProgress | None = None
) -> None:
    """Write a zip of `files` and `texts` by their names inside, sorted, without times, owners or permissions."""
    texts, report = texts or {}, report or (lambda done, total: None)
    total, done = sum(path.stat().st_size for path in files.values()), 0
    with zipfile.ZipFile(out, "w") as zipped:
        for name in sorted({*files, *texts}):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # as if made on Unix, wherever it is made
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(PACKED) else zipfile.ZIP_DEFLATED
            if name in texts:
                zipped.writestr(entry, texts[name])
                continue
            with files[name].open("rb") as source, zipped.open(entry, "w", force_zip64=True) as target:
                while piece := source.read(PIECE):
                    report(done, total)
                    target.write(piece)
                    done += len(piece)


def pack_folder(folder: Path, out: Path, report: ByteProgress | None = None) -> None:
    """Write a zip of a folder, such as an adapter or a model. All names inside begin with the folder's name."""
    pack(out, _files(folder, folder.name), report=report)


def _files(folder: Path, under: str) -> dict[str, Path]:
    """The files of a folder by their names inside the zip. Links, which may point anywhere, and hidden files are left
    out."""
    paths: Iterable[Path] = folder.rglob("*")
    return {
        f"{under}/{path.relative_to(folder).as_posix()}": path
        for path in paths
        if path.is_file()
        and not path.is_symlink()
        and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }


def _paths(record: Record) -> dict[str, str]:
    """The paths on this computer that the run's files may name, longest first, with their replacements."""
    spec, read = record.spec, record.spec.measure.texts
    named = [spec.model, spec.facts.source, spec.facts.path, spec.statistics.texts, spec.statistics.dataset]
    named += [read.dataset if isinstance(read, ReadDataset) else read, str(record.folder.path)]
    named += spec.measure.tasks if isinstance(spec.measure.tasks, list) else []
    spelled = {form for path in named if path for form in (path, str(Path(path).expanduser()))}
    paths = [path for path in spelled if Path(path).expanduser().is_absolute() and public_name(path)]
    return {path: public_name(path) for path in sorted(paths, key=len, reverse=True)}


def _public(text: str, paths: Mapping[str, str]) -> str:
    """JSON text with these paths replaced, wherever in a string they begin."""
    for path, name in paths.items():
        for spelled in {json.dumps(path)[1:-1], json.dumps(path, ensure_ascii=False)[1:-1]}:
            plain = name.replace("\\", r"\\")  # the replacement is not a pattern
            text = re.sub(rf"(?<![\w/.~-]){re.escape(spelled)}(?![\w-])", plain, text)
    return text
