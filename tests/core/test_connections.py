"""Where the database's servers are, of what the operator wrote; and which of them a connection goes to."""

from __future__ import annotations

import os
import socket
from typing import Any, cast

import psycopg2
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from txpostgres.txpostgres import Cursor

from pinggy.core.connections import Connection, Servers
from pinggy.settings import Secret
from tests.support.postgres import Databases, execute

asynchronous = pytest_twisted.ensureDeferred
LONG = "x" * 2**26  # no socket takes so much at once


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:hidden@one:1/n", "one:1"),
        ("postgresql://u:hidden@one:1,two:2/n", "one:1, two:2"),
        ("postgresql://u:hidden@one,two/n?port=7", "one:7, two:7"),
        ("postgresql:///n?host=/var/run/postgresql", "/var/run/postgresql:5432"),
        ("postgresql:///n?hostaddr=127.0.0.1,127.0.0.2&port=1,2", "127.0.0.1:1, 127.0.0.2:2"),
        ("dbname=n", "localhost:5432"),
    ],
)
def test_servers_are_told_apart(url: str, place: str) -> None:
    assert Servers(reactor, Secret(url), 10.0).place == place


@pytest.mark.parametrize("url", ["mysql://u:hidden@one/n", "postgresql://u:hidden@one:1,two:2,three/n?port=1,2"])
def test_what_names_no_servers_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="not a PostgreSQL URL") as caught:
        Servers(reactor, Secret(url), 10.0)
    assert "hidden" not in str(caught.value)


@asynchronous
async def test_the_one_that_takes_writes_is_found(postgres: Databases) -> None:
    name = postgres.new().reveal().rpartition("/")[2]
    execute(postgres.url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    user, _, address = postgres.url.reveal().rpartition("/")[0].rpartition("@")
    dead = f"{user}@127.0.0.1:1,{address}"
    servers = Servers(reactor, Secret(f"{dead}/migrated"), 10.0)
    for _ in range(2):
        (await servers.connect()).close()
    with pytest.raises(psycopg2.OperationalError, match=r"refused.*;.*read-only"):
        await Servers(reactor, Secret(f"{dead}/{name}"), 10.0).connect()


class HangsUp(Protocol):
    """A server that is gone as soon as it has said that it has no TLS."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"N")
        self.transport.loseConnection()


@asynchronous
async def test_a_server_that_hangs_up_in_a_connect_leaves_no_number_behind(postgres: Databases) -> None:
    factory: Any = Factory.forProtocol(HangsUp)
    port: Any = cast(Any, reactor).listenTCP(0, factory, interface="127.0.0.1")
    url = Secret(f"postgresql://nobody@127.0.0.1:{port.getHost().port}/none")
    refused = []

    def made(on: Any) -> Connection:
        refused.append(Connection(on))
        return refused[-1]

    with pytest.raises(psycopg2.OperationalError):
        await Servers(reactor, url, 10.0).connect(made)
    assert not {*refused} & {*reactor.getReaders(), *reactor.getWriters()}
    other = await Servers(reactor, postgres.url, 10.0).connect()
    assert await other.runQuery("SELECT 2") == [(2,)]
    other.close()
    await port.stopListening()


def hung_up(connection: Connection) -> None:
    """As if the server had sent its last word, and took no more."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RD)


@asynchronous
async def test_the_number_of_a_socket_that_died_in_a_statement_is_free_for_another(postgres: Databases) -> None:
    servers = Servers(reactor, postgres.url, 10.0)
    died = await servers.connect()
    number = died.fileno()
    hung_up(died)
    with pytest.raises(psycopg2.OperationalError):
        await died.cursor().execute(f"SELECT '{LONG}'")
    other = await servers.connect()
    assert other.fileno() == number
    died.close()
    assert await other.runQuery("SELECT 2") == [(2,)]
    other.close()


@asynchronous
async def test_one_whose_statement_was_none_is_watched_as_before(postgres: Databases) -> None:
    connection = await Servers(reactor, postgres.url, 10.0).connect()
    with pytest.raises(psycopg2.ProgrammingError):
        await connection.cursor().execute("")
    over: Deferred[None] = Deferred()
    connection.on_lost = lambda: over.callback(None)
    hung_up(connection)
    await over


@asynchronous
async def test_one_that_is_closed_in_a_statement_leaves_nobody_waiting(postgres: Databases) -> None:
    connection = await Servers(reactor, postgres.url, 10.0).connect()
    answer = connection.cursor().execute("SELECT pg_sleep(60)")
    connection.close()
    with pytest.raises(ConnectionDone):
        await answer
    assert not any(isinstance(each, (Connection, Cursor)) for each in reactor.getReaders())
