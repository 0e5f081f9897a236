"""One SQLite file that several processes may read and write at once: WAL, named migrations.

What a transaction has returned from survives the end of the process at any moment; a power cut may
take the last of them back. Migrations are pairs of a name and statements, applied once each, in
their order, and recorded in the table `migrations`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from features.errors import PM25Error

BUSY_TIMEOUT = 60.0  # [s] a writer waits for the others before it gives up
Migrations = Sequence[tuple[str, Sequence[str]]]


class SqliteFile:
    """The file `path`, made if it is not there and brought up to date. One object per thread.

    migrations  name and statements; never edited, only added to
    what        what the file is to its users, such as "feature store"
    if_damaged  what is lost when a damaged file is removed, as a sentence
    error       the kind of PM25Error that is raised: store_unusable, store_busy, store_too_new
    page_size   [bytes] of a file that is made; a file that is there keeps its own
    patience    how long one waits for others before one gives up [s]
    newer_is_fine  a file that newer code has migrated is used as it is, instead of store_too_new
    """

    def __init__(
        self,
        path: Path,
        migrations: Migrations,
        *,
        what: str,
        if_damaged: str,
        error: type[PM25Error],
        page_size: int = 4096,
        patience: float = BUSY_TIMEOUT,
        newer_is_fine: bool = False,
    ) -> None:
        self.path = path
        self._what, self._if_damaged, self._error = what, if_damaged, error
        self._patience, self._newer_is_fine = patience, newer_is_fine
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.naming_the_file():
            self.connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
        try:
            with self.naming_the_file():
                self.connection.execute(f"PRAGMA page_size = {page_size}")
                self._switch_to_wal()
                self.connection.execute("PRAGMA synchronous = NORMAL")
                self._migrate(migrations)
        except PM25Error:
            self.connection.close()
            raise

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. IMMEDIATE: two writers queue up instead of failing at their commit."""
        with self.naming_the_file():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                if self.connection.in_transaction:  # where a disk is full, SQLite has ended it
                    self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    @contextmanager
    def naming_the_file(self) -> Iterator[None]:
        """SQLite's errors as ours: which file, and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            raise self._error(
                "store_busy" if busy else "store_unusable",
                f"{self.path} cannot be used as a {self._what}: {error}.",
                "Wait until the other process has finished with it."
                if busy
                else "Check the disk and the file's permissions; a damaged file may be removed: "
                f"{self._if_damaged}",
            ) from error

    def _migrate(self, migrations: Migrations) -> None:
        """Bring an older file up to date, each step in a transaction with its record."""
        known = [name for name, _ in migrations]
        with self.transaction():
            self.connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations "
                "(name TEXT PRIMARY KEY, applied_at TEXT NOT NULL) STRICT"
            )
        for name, statements in migrations:
            with self.transaction():  # a second process waits here and then finds the record
                applied = {n for (n,) in self.connection.execute("SELECT name FROM migrations")}
                newer = sorted(applied.difference(known))
                if newer and not self._newer_is_fine:
                    raise self._error(
                        "store_too_new",
                        f"The {self._what} {self.path} was written by newer code: it has the "
                        f"migrations {', '.join(newer)}; this code knows {', '.join(known)}.",
                        "Use the newer code, or another file.",
                    )
                if name not in applied:
                    for statement in statements:
                        self.connection.execute(statement)
                    self.connection.execute(
                        "INSERT INTO migrations VALUES (?, ?)",
                        (name, datetime.now(UTC).isoformat(timespec="seconds")),
                    )

    def _switch_to_wal(self) -> None:
        """Two processes that switch a new file at once can lock each other out without a wait."""
        give_up_at = time.monotonic() + self._patience
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.02)
