"""Where the database's servers are, of what the operator wrote; and which of them a connection goes to."""

from __future__ import annotations

import psycopg2
import pytest
import pytest_twisted
from twisted.internet import reactor

from pinggy.core.connections import Servers
from pinggy.settings import Secret
from tests.support.postgres import Databases, execute

asynchronous = pytest_twisted.ensureDeferred


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
