"""The part of a store that is on disk: one SQLite database that any number of processes may use at once.

SQLite itself and no cache library on top of it, because every value is plain bytes here: nothing is ever unpickled, so
somebody who can write into the folder can falsify a result but run no code (CVE-2025-69872 of diskcache, not mended in
its last release, 5.6.3 of 2023). Times of use are written in batches, since a write for every read is what makes LRU
on a database slow.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.store.memory import Entry

FILE_NAME = "store-1.sqlite"
"""with the number of the format: another one would be another file"""
WAIT_S = 20.0
"""for another process that is writing"""
KEPT_SHARE = 0.9
"""of the size bound that is left once it was passed, so that not every write has to make room"""
USES_AT_ONCE = 256
_ENTRY_BYTES = 200
"""what an entry takes beside its value, about"""

_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, made_s REAL NOT NULL, until_s REAL NOT NULL, used_s REAL NOT NULL,
    bytes INTEGER NOT NULL, checksum BLOB NOT NULL, value BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS by_use ON entries (used_s, bytes);
CREATE INDEX IF NOT EXISTS by_age ON entries (until_s);
"""


class DamagedError(Exception):
    """An entry is there but is not what was written."""


class DiskPart:
    """Entries below `folder`, at most size_bytes of them; raises sqlite3.Error or OSError where the disk does.

    One object may be used by several threads; a process that was forked opens the database anew, and so does one whose
    database was deleted or set aside by another, so that what it keeps is not lost in a file without a name. A database
    that SQLite cannot read is set aside and begun again.
    """

    def __init__(self, folder: Path, size_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.size_bytes = size_bytes
        self._clock = clock
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._file: tuple[int, int] | None = None
        """device and inode of what is open"""
        self._uses: dict[str, float] = {}

    def get(self, key: str) -> Entry | None:
        """The entry, or None. Raises DamagedError for one that is not as it was written; it is gone then."""
        with self._database() as database:
            row = database.execute("SELECT kind, value, made_s, checksum FROM entries WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            kind, value, made_s, checksum = row
            sane = isinstance(kind, str) and isinstance(value, bytes) and isinstance(made_s, float)
            if not sane or checksum != _checksum(key, kind, value):
                with contextlib.suppress(sqlite3.OperationalError):  # a folder that can only be read
                    database.execute("DELETE FROM entries WHERE key = ?", (key,))
                raise DamagedError(key)
            self.note_use(key)
            if len(self._uses) >= USES_AT_ONCE:
                self._write_uses(database)
            return Entry(kind, value, made_s)

    def note_use(self, key: str) -> None:
        """The entry was used just now, be it from memory; written down with the next entry, or by close()."""
        self._uses[key] = self._clock()

    def put(self, key: str, entry: Entry, until_s: float) -> None:
        """Keep an entry until then, replacing what is there; what is to be kept no longer leaves, and more where room
        is needed. An entry larger than a quarter of the bound is not kept.
        """
        if len(entry.value) > self.size_bytes // 4:
            return
        size_bytes = len(entry.value) + _ENTRY_BYTES
        now_s, checksum = self._clock(), _checksum(key, entry.kind, entry.value)
        row = (key, entry.kind, entry.made_s, until_s, now_s, size_bytes, checksum, entry.value)
        with self._database() as database:
            self._write_uses(database)
            with _transaction(database):
                database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
                freed = database.execute("DELETE FROM entries WHERE until_s < ?", (now_s,)).rowcount
                if self._bytes(database) > self.size_bytes:
                    freed += self._make_room(database)
            if freed:
                database.execute("PRAGMA incremental_vacuum").fetchall()

    def drop(self, key: str) -> None:
        with self._database() as database:
            database.execute("DELETE FROM entries WHERE key = ?", (key,))

    def used_bytes(self) -> int:
        """Bytes of all entries."""
        with self._database() as database:
            return self._bytes(database)

    def close(self) -> None:
        """Write down what is still to be written and let go of the file. It is opened again when needed."""
        with self._lock:
            if self._connection is None:
                return
            if self._process == os.getpid():
                with contextlib.suppress(sqlite3.Error):
                    self._write_uses(self._connection)
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None or self._process != os.getpid() or self._file != self._found():
                self._connection, self._process, self._uses = self._opened(), os.getpid(), {}
                self._file = self._found()
            try:
                yield self._connection
            except sqlite3.OperationalError:
                raise  # locked, full, only to be read: nothing is wrong with the file
            except sqlite3.DatabaseError:
                self._set_aside(self._file)
                raise

    def _found(self) -> tuple[int, int] | None:
        """Device and inode of what has the name now, None where nothing has."""
        try:
            found = os.stat(self.folder / FILE_NAME)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _opened(self) -> sqlite3.Connection:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        damaged = self._found()
        try:
            return _connected(self.folder / FILE_NAME)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._set_aside(damaged)
            return _connected(self.folder / FILE_NAME)

    def _set_aside(self, damaged: tuple[int, int] | None) -> None:
        """Rename a database that cannot be read, so that the next use begins an empty one; not what another process
        has begun in its place meanwhile.
        """
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        if self._found() != damaged:
            return
        for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"):
            with contextlib.suppress(OSError):
                os.replace(self.folder / name, self.folder / f"damaged-{name}")

    def _write_uses(self, database: sqlite3.Connection) -> None:
        if not self._uses:
            return
        with contextlib.suppress(sqlite3.OperationalError), _transaction(database):
            database.executemany(
                "UPDATE entries SET used_s = max(used_s, ?) WHERE key = ?", [(t, k) for k, t in self._uses.items()]
            )
        self._uses = {}

    def _bytes(self, database: sqlite3.Connection) -> int:
        return int(database.execute("SELECT coalesce(sum(bytes), 0) FROM entries").fetchone()[0])

    def _make_room(self, database: sqlite3.Connection) -> int:
        ranked = "SELECT key, sum(bytes) OVER (ORDER BY used_s DESC, rowid DESC) AS newer FROM entries"
        deleted = database.execute(
            f"DELETE FROM entries WHERE key IN (SELECT key FROM ({ranked}) WHERE newer > ?)",
            (int(KEPT_SHARE * self.size_bytes),),
        )
        return deleted.rowcount


def _connected(path: Path) -> sqlite3.Connection:
    # the lock of the object parts the threads
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        # foreign files may hold triggers: they may not call anything; pages of deleted entries go back to the disk
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        with contextlib.suppress(sqlite3.OperationalError):  # some file systems cannot, and do without
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {8 << 20}").fetchall()
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'by_age'").fetchone()[0]
        if not tables:
            connection.executescript(_TABLES)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _checksum(key: str, kind: str, value: bytes) -> bytes:
    found = hashlib.blake2b(f"{key}\0{kind}\0".encode(), digest_size=16)
    found.update(value)
    return found.digest()
