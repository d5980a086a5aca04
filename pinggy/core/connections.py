"""
One connection to PostgreSQL: where its servers are, and how a connection over Twisted comes about and ends.

Of several servers the primary is wanted. libpq could find it alone, but changes its socket on the way, of which a
reactor is not told: so each server is asked by itself, in turn, beginning with the one that was the primary last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2
import psycopg2.extensions
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from txpostgres import txpostgres

from pinggy.settings import Secret

_CONNECT_WAIT = 10.0
# Where there is another server to be asked.
_SHORT_WAIT = 2.0


class _UnwatchedInLibpq:
    """
    libpq closes a socket that it finds dead, and its number is free for another. What the reactor watches by that
    number would then be the other's, or nobody's: so nothing is watched while libpq works. It says what to watch next.
    """

    def continuePolling(self: Any, swallowErrors: bool = False) -> None:
        # txpostgres takes away only what has called: a connect is watched for reading also while it wants to write.
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)
        super().continuePolling(swallowErrors)  # type: ignore[misc]


class _Cursor(_UnwatchedInLibpq, txpostgres.Cursor):  # type: ignore[misc]  # txpostgres has no types
    def execute(self, query: str | bytes, params: Any = None) -> Deferred[Any]:
        self._connection.watch(False)
        answer: Deferred[Any] = super().execute(query, params)
        self._connection.watch(True)
        return answer


class Connection(_UnwatchedInLibpq, txpostgres.Connection):  # type: ignore[misc]  # as above
    """*on_lost* is called once, when it is over after it was there."""

    cursorFactory = _Cursor

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__(reactor)
        self.on_lost: Callable[[], object] = _nothing
        self._there = False

    def opened(self) -> None:
        self._there = True

    def watch(self, for_its_end: bool) -> None:
        """Where no statement is in hand; otherwise its cursor is watched."""
        if self._cursors:
            return
        if not for_its_end:
            self.reactor.removeReader(self)
        elif self.fileno() != -1:
            self.reactor.addReader(self)

    def close(self) -> None:
        if self.pollable() is not None:
            super().close()

    def doRead(self) -> None:
        # An idle connection that is cut raises here, as what depends on how; left to the reactor it would be logged.
        try:
            super().doRead()
        except (psycopg2.Error, ValueError):
            self.close()

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        if self._there and self.pollable().closed:
            self._there = False
            self.on_lost()


class Servers:
    """
    Those that *url* names, one or several (``postgresql://user:password@one:5432,two:5432/name``). A statement is given
    up after *statement_timeout* seconds. *place* is where they are, fit to be shown.

    Raises ValueError where *url* is none; the text holds nothing of it.
    """

    def __init__(self, reactor: IReactorTime, url: Secret, statement_timeout: float) -> None:
        self._reactor = reactor
        self._dsns = _dsns(url, statement_timeout)
        said = [psycopg2.extensions.parse_dsn(dsn.reveal()) for dsn in self._dsns]
        self.place = ", ".join(_place(each) for each in said)
        self._last = 0

    async def connect(self, make: Callable[[Any], Any] = Connection) -> Any:
        """A connection that *make* has made, to the primary. Fails with `psycopg2.Error`, which says it of each."""
        errors: list[psycopg2.Error] = []
        for which in [*range(self._last, len(self._dsns)), *range(self._last)]:
            try:
                connection = await self._try(make(self._reactor), self._dsns[which])
            except psycopg2.Error as error:
                errors.append(error)
                continue
            self._last = which
            return connection
        if len(errors) == 1:
            raise errors[0]
        raise psycopg2.OperationalError("; ".join(one_line(error) for error in errors))

    async def _try(self, connection: Connection, dsn: Secret) -> Connection:
        # Closing it is the only way to give up a connect: cancelling the Deferred of txpostgres raises.
        wait = _CONNECT_WAIT if len(self._dsns) == 1 else _SHORT_WAIT
        bound = self._reactor.callLater(wait, connection.close)
        try:
            await connection.connect(dsn.reveal())
        except psycopg2.Error:
            connection.close()
            raise
        except Exception as error:  # txpostgres passes on how the transport ended, whatever class that is
            connection.close()
            raise psycopg2.OperationalError(str(error)) from None
        finally:
            if bound.active():
                bound.cancel()
        connection.opened()
        return connection


def _place(said: dict[str, Any]) -> str:
    return f"{said.get('host') or said.get('hostaddr') or 'localhost'}:{said.get('port', 5432)}"


def _nothing() -> None:
    pass


def _dsns(url: Secret, statement_timeout: float) -> tuple[Secret, ...]:
    """What libpq is given, for each server."""
    try:
        said = psycopg2.extensions.parse_dsn(url.reveal())
        hosts = _listed(said, "host")
        addresses = _listed(said, "hostaddr")
        ports = _listed(said, "port")
        count = max(len(hosts), len(addresses))
        if any(len(each) not in (0, 1, count) for each in (hosts, addresses, ports)):
            raise psycopg2.ProgrammingError
        if count > 1:
            said.setdefault("target_session_attrs", "read-write")
        servers = []
        for number in range(count or 1):
            for key, values in (("host", hosts), ("hostaddr", addresses), ("port", ports)):
                if values:
                    said[key] = values[number if len(values) > 1 else 0]
            servers.append(Secret(_dsn(said, statement_timeout)))
    except psycopg2.ProgrammingError:
        raise ValueError("is not a PostgreSQL URL: write postgresql://user:password@host:port/name.") from None
    return tuple(servers)


def _listed(said: dict[str, Any], key: str) -> list[str]:
    return str(said[key]).split(",") if key in said else []


def _dsn(said: dict[str, Any], statement_timeout: float) -> str:
    dsn: str = psycopg2.extensions.make_dsn(
        **{
            **said,
            "application_name": "pinggy-core",
            "client_encoding": "UTF8",
            "options": f"-c timezone=UTC -c statement_timeout={int(statement_timeout * 1000)}",
            # A host that vanished without a word is found dead after 25 s, not after the kernel's two hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 25000,
        }
    )
    return dsn


def one_line(error: BaseException) -> str:
    """What libpq says, as one line; it never repeats a password."""
    return " ".join(str(error).split())
