"""The store of latencies: one SQLite file a user, appended to by every run, never changed.

Writers take turns: each opens the file, waits for its lock, appends in one transaction and lets go.
The journal is SQLite's default and no write-ahead log, which does not work in home folders on a
network.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from archstat.errors import LatencyStoreError
from archstat.files import data_folder
from archstat.measure.latency.measurement import Measurement

STORE_VARIABLE = "ARCHSTAT_STORE"
SCHEMA_VERSION = 1
_APPLICATION = 0x61726368  # "arch", so that another program's database is told from this one
_SCHEMA = f"""
CREATE TABLE measurements (
    id INTEGER PRIMARY KEY,
    date TEXT NOT NULL,
    machine TEXT NOT NULL,
    subject TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX measurements_of_machine ON measurements (machine, date);
CREATE TRIGGER no_update BEFORE UPDATE ON measurements
    BEGIN SELECT RAISE(ABORT, 'measurements are never changed'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON measurements
    BEGIN SELECT RAISE(ABORT, 'measurements are never changed'); END;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {SCHEMA_VERSION};
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A measurement and what it is of: the spec, a file in it by its absolute path."""

    subject: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class LatencyStore:
    """The file at `path`, which need not exist yet; `patience_s` is the longest wait for a lock."""

    path: Path
    patience_s: float = 30.0

    def check(self) -> None:
        """Make the store where there is none; say now what would be in the way of an append.

        Raises:
            LatencyStoreError: damaged, locked, not ours, or not to be written.
        """
        with self._writing() as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise self._damaged(verdict.splitlines()[-1])

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Add measurements, all of them or none.

        Raises:
            LatencyStoreError: damaged, locked, not ours, or not to be written.
        """
        rows = [
            (one.date, one.machine.identity, subject_of(one.model), json.dumps(one.to_record()))
            for one in measurements
        ]
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO measurements (date, machine, subject, record) VALUES (?, ?, ?, ?)",
                rows,
            )

    def of_machine(self, machine: str) -> tuple[Stored, ...]:
        """What was measured on one machine, oldest first; nothing where there is no store yet.

        Raises:
            LatencyStoreError: damaged, locked, or not ours.
        """
        if not self.path.exists():
            return ()
        with self._open("mode=ro") as connection:
            if not self._refuse_others(connection):
                return ()
            rows = connection.execute(
                "SELECT subject, record FROM measurements WHERE machine = ? ORDER BY date, id",
                (machine,),
            ).fetchall()
        return tuple(Stored(subject, self._read(record)) for subject, record in rows)

    def _read(self, record: str) -> Measurement:
        try:
            return Measurement.from_record(json.loads(record))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._damaged("a record is none") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, locked from its start, in a store that is made where there is none."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error
        with self._open("mode=rwc") as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not self._refuse_others(connection):
                for statement in _statements(_SCHEMA):
                    connection.execute(statement)
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _open(self, mode: str) -> Iterator[sqlite3.Connection]:
        address = f"{self.path.absolute().as_uri()}?{mode}"
        try:
            with closing(
                sqlite3.connect(address, self.patience_s, isolation_level=None, uri=True)
            ) as connection:
                yield connection  # a transaction that an error leaves open is undone by the close
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _refuse_others(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is a store already; an empty one is not, anything else is refused."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application == _APPLICATION and version > SCHEMA_VERSION:
            raise LatencyStoreError(
                f"{self.path} was written by a newer archstat (schema {version}, this one knows "
                f"{SCHEMA_VERSION}): update archstat, or set {STORE_VARIABLE} to another file."
            )
        if tables and application != _APPLICATION:
            raise LatencyStoreError(
                f"{self.path} belongs to another program: set {STORE_VARIABLE} to another file."
            )
        return bool(tables)

    def _failure(self, error: sqlite3.Error) -> LatencyStoreError:
        if not isinstance(error, sqlite3.OperationalError):
            return self._damaged(str(error))
        if "locked" in str(error):
            return LatencyStoreError(
                f"{self.path} has been locked by another program for {self.patience_s:g} s: try "
                "again when that is done, or measure with `archstat bench --no-store`."
            )
        return self._unwritable(str(error))

    def _damaged(self, reason: str) -> LatencyStoreError:
        return LatencyStoreError(
            f"{self.path} is damaged ({reason}): move it away, and the next run starts a new one; "
            "`archstat bench --no-store` measures without."
        )

    def _unwritable(self, reason: str) -> LatencyStoreError:
        return LatencyStoreError(
            f"{self.path} cannot be opened or written ({reason}): set {STORE_VARIABLE} to another "
            "file, or measure with `archstat bench --no-store`."
        )


def store_path() -> Path:
    """Where the store is: ARCHSTAT_STORE, or latency.sqlite in the user's data folder."""
    given = os.environ.get(STORE_VARIABLE, "")
    if given:
        return Path(given).expanduser()
    return data_folder() / "latency.sqlite"


def subject_of(spec: str) -> str:
    """The spec with its file, if it names one, by the absolute path: nets.py is many files."""
    target, colon, rest = spec.partition(":")
    return f"{Path(target).resolve()}{colon}{rest}" if target.endswith(".py") else spec


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: executescript would commit before it starts."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
