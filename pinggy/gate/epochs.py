"""
The highest epoch of each name, in SQLite: what a gate has let through once, no older owner takes back.

A transaction is written when `Epochs.admit` returns: the end of the process, kill -9 too, does not lose it; the end of
the machine may lose the last ones (``synchronous=NORMAL``), and the file stays whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from pinggy.dns.powerdns.changes import Change

FILE = "epochs.sqlite"
_VERSION = 1
# *standing* is the epoch whose record stands, *spent* the highest that was withdrawn, *at* when the row was written.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS epochs (
    name TEXT PRIMARY KEY,
    standing INTEGER,
    spent INTEGER NOT NULL,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS withdrawn ON epochs (at) WHERE standing IS NULL;
"""


class EpochsUnusable(Exception):
    """The file cannot be read or written; the text says which and why."""


class Verdict(Enum):
    """What a change is: to be WRITTEN; STALE, for a newer owner has the name; or DONE, a withdrawal of what is gone."""

    WRITTEN = "written"
    STALE = "stale"
    DONE = "done"


class Epochs:
    """The store in the folder *state*, which must exist. Raises `EpochsUnusable`, as all its methods do."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        try:
            self._database = sqlite3.connect(self._path, isolation_level=None, timeout=1.0)
            # A second gate on the same state is refused, and no other program changes what is held here.
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise EpochsUnusable(f"{self._path} was written by a newer gate.")
            self._database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def admit(self, changes: Sequence[Change], now: float) -> list[Verdict]:
        """What each of *changes* is, in their order; remembered, as of *now* (seconds), when this returns."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                verdicts = [self._admit(change, now) for change in changes]
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return verdicts

    def prune(self, before: float, most: int) -> int:
        """Forget up to *most* names that were withdrawn *before* then (seconds); how many there were."""
        try:
            return self._database.execute(
                "DELETE FROM epochs WHERE name IN"
                " (SELECT name FROM epochs WHERE standing IS NULL AND at < ? ORDER BY at LIMIT ?)",
                (before, most),
            ).rowcount
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def count(self) -> int:
        """How many names are known."""
        try:
            (count,) = self._database.execute("SELECT count(*) FROM epochs").fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return int(count)

    def close(self) -> None:
        self._database.close()

    def _admit(self, change: Change, now: float) -> Verdict:
        row = self._database.execute("SELECT standing, spent FROM epochs WHERE name = ?", (change.name,)).fetchone()
        standing, spent = row or (None, -1)
        verdict, *after = _withdrawn(change, standing, spent) if change.withdrawn else _placed(change, standing, spent)
        if after != [standing, spent]:
            self._database.execute(
                "INSERT INTO epochs (name, standing, spent, at) VALUES (?, ?, ?, ?) ON CONFLICT (name)"
                " DO UPDATE SET standing = excluded.standing, spent = excluded.spent, at = excluded.at",
                (change.name, *after, now),
            )
        return verdict

    def _unusable(self, error: sqlite3.Error) -> EpochsUnusable:
        return EpochsUnusable(f"{self._path} is of no use: {error}.")


def _placed(change: Change, standing: int | None, spent: int) -> tuple[Verdict, int | None, int]:
    """The owner of a spent epoch has left; that of the standing one may say it again."""
    if change.epoch <= spent or (standing is not None and change.epoch < standing):
        return Verdict.STALE, standing, spent
    return Verdict.WRITTEN, change.epoch, spent


def _withdrawn(change: Change, standing: int | None, spent: int) -> tuple[Verdict, int | None, int]:
    """
    The epoch is spent, whatever stands. Where nothing does, PowerDNS is told again: the last time it may have been
    away.
    """
    if standing is None or standing == change.epoch or (change.any_lower and standing < change.epoch):
        return Verdict.WRITTEN, None, max(spent, change.epoch)
    return Verdict.DONE, standing, max(spent, change.epoch) if change.epoch > standing else spent
