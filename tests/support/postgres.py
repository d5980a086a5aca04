"""
A real PostgreSQL for the session, and a migrated database, empty again for each test.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from pinggy.core.managed_postgres import ManagedPostgres
from pinggy.core.migrations import load_migrations, migrate
from pinggy.core.pool import Pool
from pinggy.settings import Secret

# Nothing of a test outlives it: the disk need not hear of it.
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"}


_EMPTIED = (
    "DELETE FROM handovers; DELETE FROM reports; DELETE FROM entries;"
    "DELETE FROM tunnels; DELETE FROM ended_tunnels; DELETE FROM ended_forwardings; DELETE FROM early_releases;"
    "DELETE FROM orders; DELETE FROM order_streams; DELETE FROM regions;"
    "DELETE FROM edges; DELETE FROM tokens; DELETE FROM keys; DELETE FROM reserved_names; DELETE FROM reserved_ports;"
    "DELETE FROM accounts"
)


class Databases:
    """One server."""

    def __init__(self, url: Secret) -> None:
        self.url = url
        self._numbers = itertools.count(1)

    def emptied(self) -> Secret:
        """The URL of a migrated database with nothing in it: always the same, for a new one takes long."""
        execute(self.named("migrated"), _EMPTIED)
        return self.named("migrated")

    def new(self) -> Secret:
        """The URL of a new database, not migrated."""
        name = f"new_{next(self._numbers)}"
        execute(self.url, f"CREATE DATABASE {name}")
        return self.named(name)

    def named(self, name: str) -> Secret:
        return Secret(self.url.reveal().rpartition("/")[0] + f"/{name}")


def execute(url: Secret, sql: str) -> list[Any]:
    """Run *sql* behind the core's back; the rows that it gives."""
    with closing(psycopg2.connect(url.reveal())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []


async def make_template(databases: Databases) -> None:
    execute(databases.url, "CREATE DATABASE migrated")
    pool = Pool(reactor, databases.named("migrated"), size=1, statement_timeout=30, patience=10)
    await migrate(pool, load_migrations())
    await pool.close()


_running: list[Databases] = []


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The one server of the session, whichever module asks first."""
    if _running:
        yield _running[0]
        return
    server = ManagedPostgres(reactor, tmp_path_factory.mktemp("postgresql"), settings=QUICK)
    databases = Databases(pytest_twisted.blockon(server.start()))
    pytest_twisted.blockon(Deferred.fromCoroutine(make_template(databases)))
    _running.append(databases)
    yield databases
    _running.clear()
    pytest_twisted.blockon(server.stop())


@pytest.fixture
def database(postgres: Databases) -> Secret:
    """The URL of a migrated database with nothing in it."""
    return postgres.emptied()
