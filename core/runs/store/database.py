"""The SQLite file of a store: opened, checked, written in transactions; errors are reported in plain words."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from core.errors import UserError

PATIENCE = 15  # seconds to wait for another process's transaction
CHECKED_BYTES = 64 * 2**20  # files up to this size are read through when opened
DAMAGE = ("not a database", "malformed", "database corruption", "file is encrypted")
ROOM = 2**20  # bytes free below which an input/output error is taken for a full disk


class DiskFull(UserError):
    """The disk is full. Earlier commits are safe."""


class Damaged(UserError):
    """The database could not be read; it was set aside and an empty one made in its place."""


class Database:
    """One connection to `path`, shared by the threads of a process; other processes have their own.

    `schema` has the statements of each version: the first make a new file, each other changes a file of the version
    before. A file that turns out to be damaged is set aside; a new one is made and given to `refill`.
    """

    def __init__(self, path: Path, schema: Sequence[str], refill: Callable[[sqlite3.Connection], None] | None = None):
        self.path, self._schema, self._refill = path, schema, refill
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def open(self) -> str | None:
        """Open the file, or make it; returns what to tell the person if it was damaged and had to be set aside.

        Raises `UserError` if the folder cannot be written or the file was made by a later version.
        """
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None
        with self._lock:
            try:
                self._open()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise self._readable(error) from None
                return self._set_aside(str(error))
        return None

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def read(self, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows of a query, each a dictionary."""
        with self._lock, self._readable_errors():
            return [dict(row) for row in self._live().execute(query, values)]

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: everything inside is written, or nothing."""
        with self._lock, self._readable_errors():
            connection = self._live()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back already
                    connection.execute("ROLLBACK")
                raise

    def _live(self) -> sqlite3.Connection:
        """The connection; opened again if another process has replaced a damaged file."""
        try:
            inode = os.stat(self.path).st_ino
        except FileNotFoundError:
            inode = -1
        if self._connection is None or inode != self._inode:
            self.close()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        assert self._connection is not None
        return self._connection

    def _open(self) -> None:
        connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if self.path.stat().st_size <= CHECKED_BYTES:
                verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if verdict != "ok":
                    raise sqlite3.DatabaseError(f"malformed: {verdict}")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(self._schema):
                raise UserError(
                    f"{self.path}: made by a later version of the lab; update the lab or choose another folder"
                )
            if version < len(self._schema):
                connection.execute("BEGIN IMMEDIATE")
                version = connection.execute("PRAGMA user_version").fetchone()[0]  # another process may have been first
                for statement in filter(str.strip, ";".join(self._schema[version:]).split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {len(self._schema)}")
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._connection, self._inode = connection, os.stat(self.path).st_ino

    def _set_aside(self, reason: str) -> str:
        """Rename a damaged file (and its journal) and open a new one; returns the message about it."""
        self.close()
        aside = self.path.with_name(f"{self.path.stem}-damaged-{datetime.now():%Y%m%d-%H%M%S-%f}{self.path.suffix}")
        with FileLock(f"{self.path}.lock"):
            try:
                self._open()  # another process was first
            except sqlite3.DatabaseError:
                for suffix in ("", "-wal", "-shm"):
                    with suppress(FileNotFoundError):
                        os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
                self._open()
                if self._refill is not None and self._connection is not None:
                    self._connection.execute("BEGIN IMMEDIATE")
                    self._refill(self._connection)
                    self._connection.execute("COMMIT")
        return (
            f"{self.path} was damaged ({reason}): it was kept as {aside.name}, and a new one made of the runs' folders"
        )

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.DatabaseError) and _is_damage(error):
                raise Damaged(f"{self._set_aside(str(error))}; look at the runs again and resume") from error
            raise self._readable(error) from error

    def _readable(self, error: Exception) -> Exception:
        """The error as a `UserError` if a person can do something about it, else the error itself."""
        full = is_disk_full(error)
        if "disk I/O error" in str(error):
            full = shutil.disk_usage(self.path.parent).free < ROOM
        if full:
            return DiskFull(f"{self.path.parent}: the disk is full; make room, then resume the run")
        if "readonly" in str(error) or "unable to open" in str(error):
            return UserError(f"{self.path}: cannot be written ({error}); choose another folder")
        return error


def is_disk_full(error: BaseException) -> bool:
    """Whether this error, or its cause, is a full disk or an exceeded quota."""
    if isinstance(error, DiskFull) or "No space left on device" in str(error):  # safetensors has its own type
        return True
    if isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error):
        return True
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return error.__cause__ is not None and is_disk_full(error.__cause__)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return any(words in str(error).lower() for words in DAMAGE)
