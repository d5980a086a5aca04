"""
The numbered migrations of ``schema/``, each applied once, in order, by one core at a time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

from twisted.internet.defer import Deferred

from pinggy.core.ledger import LedgerError
from pinggy.core.pool import Cursor, Pool

# Any number that nobody else uses in this database: two cores that start at once take turns.
_LOCK = 0x70696E676779
_FILE = re.compile(r"([0-9]{3})\.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    number: int
    sql: str


def load_migrations() -> tuple[Migration, ...]:
    """Those that come with the package, in order."""
    found = []
    for entry in resources.files("pinggy.core.schema").iterdir():
        match = _FILE.fullmatch(entry.name)
        if match:
            found.append(Migration(number=int(match[1]), sql=entry.read_text("utf-8")))
    return tuple(sorted(found, key=lambda each: each.number))


def migrate(pool: Pool, migrations: tuple[Migration, ...]) -> Deferred[int]:
    """
    Apply those that this database has not seen; fires with how many. All or none.

    Fails with `LedgerError` where the database is newer than this core, or with what `Pool.transact` fails with.
    """

    async def work(cursor: Cursor) -> int:
        await cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        await cursor.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(number integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
        )
        await cursor.execute("SELECT number FROM migrations")
        applied = {number for (number,) in cursor.fetchall()}
        unknown = applied - {each.number for each in migrations}
        if unknown:
            raise LedgerError(f"The database is newer than this core: it has migration {max(unknown):03}.")
        due = [each for each in migrations if each.number not in applied]
        for migration in due:
            await cursor.execute(migration.sql)
            await cursor.execute("INSERT INTO migrations (number) VALUES (%s)", (migration.number,))
        return len(due)

    return pool.transact(work)
