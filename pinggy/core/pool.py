"""
Connections to PostgreSQL that come back: each piece of work gets one for itself, in one transaction.

txpostgres brings a pool and a detector of dead connections. That pool hands out dead connections first, because they
fail fastest; that detector cannot be stopped while it reconnects. So a connection of ours that has died is thrown
away, and whoever needs the next one makes it, as patiently for the first connection as for any later one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import psycopg2
import psycopg2.errors
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from pinggy.core.connections import Connection, Servers, one_line
from pinggy.core.ledger import LedgerAway, LedgerError
from pinggy.core.metrics import CoreMetrics
from pinggy.settings import Secret

T = TypeVar("T")
_GRACE = 2.0  # seconds for which a statement may be late
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_ATTEMPTS = 10


class Cursor(Protocol):
    """What work does its statements with."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, sql: str, values: Any = None) -> Deferred[Any]: ...

    def later(self, sql: str, values: Any = None) -> None:
        """Execute it with the next statement or the commit, in one message: nobody reads what it gives."""
        ...

    def fetchall(self) -> list[tuple[Any, ...]]: ...


Work = Callable[[Cursor], Coroutine[Deferred[Any], Any, T]]


class _Lost(Exception):
    """The connection died. *in_doubt*: while it was told to commit, so that nobody knows whether it did."""

    def __init__(self, error: Exception, in_doubt: bool) -> None:
        super().__init__(one_line(error))
        self.in_doubt = in_doubt


class _Session:
    """
    The statements of one piece of work, one by one, over a cursor of txpostgres.

    What nobody waits for goes with the next message: each costs a way to the server and back, and most of the CPU.
    """

    def __init__(self, cursor: Any, watched: Callable[[Deferred[Any]], Deferred[Any]]) -> None:
        self._cursor = cursor
        self._watched = watched
        self._queued: list[bytes] = []
        self._commit: str | None = None
        self._begun = False

    @property
    def rowcount(self) -> int:
        return int(self._cursor.rowcount)

    def begin(self) -> None:
        self._queued.append(b"BEGIN")
        self._commit = "COMMIT"

    def execute(self, sql: str, values: Any = None) -> Deferred[Any]:
        self.later(sql, values)
        return self._send()

    def later(self, sql: str, values: Any = None) -> None:
        self._queued.append(self._cursor.mogrify(sql, values))

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        return rows

    async def end(self) -> None:
        if self._commit is not None:
            self.later(self._commit)
        if self._queued:
            await self._send()

    async def undo(self) -> None:
        self._queued = [b"ROLLBACK"]
        if self._begun:
            await self._send()

    def _send(self) -> Deferred[Any]:
        # A statement may end in a comment.
        message, self._queued = b"\n;".join(self._queued), []
        self._begun = self._commit is not None
        return self._watched(self._cursor.execute(message))


class Pool:
    """
    At most *size* connections to the database *url*. *statement_timeout* and *patience* are seconds: how long a
    statement may take, and how long a piece of work waits for a database that is away.

    *place* is where the database is, host and port, fit to be shown. *size*, *in_use*, *idle*, *waiting* (for a
    connection) and *away* may be read.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        url: Secret,
        *,
        size: int,
        statement_timeout: float,
        patience: float,
        metrics: CoreMetrics | None = None,
    ) -> None:
        self._reactor = reactor
        self.size = size
        self.away = False
        self._metrics = metrics or CoreMetrics()
        self._patience = patience
        self._servers = Servers(reactor, url, statement_timeout)
        self.place = self._servers.place
        self._bound = statement_timeout + _GRACE
        self._seats = DeferredSemaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    @property
    def in_use(self) -> int:
        return self.size - self._seats.tokens

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def waiting(self) -> int:
        return len(self._seats.waiting)

    def transact(self, work: Work[T], *, repeatable: bool = True) -> Deferred[T]:
        """As `pinggy.core.ledger.Ledger.transact`, over a cursor."""
        return self._run(work, True, repeatable)

    def look(self, work: Work[T]) -> Deferred[T]:
        """As `pinggy.core.ledger.Ledger.look`, over a cursor."""
        return self._run(work, False, True)

    def _run(self, work: Work[T], whole: bool, repeatable: bool) -> Deferred[T]:
        # Counted from here on: those who queue behind others that wait in vain do not wait as long once more.
        asked = self._reactor.seconds()
        deadline = asked + self._patience
        done: Deferred[T] = self._seats.run(
            lambda: Deferred.fromCoroutine(self._patiently(work, whole, repeatable, deadline))
        )
        return done.addBoth(self._worked, "transact" if whole else "look", asked)

    def _worked(self, result: Any, kind: str, asked: float) -> Any:
        self._metrics.worked(kind, self._reactor.seconds() - asked)
        return result

    def close(self) -> Deferred[None]:
        """Fires when the work in hand is done and all connections are closed; later work is refused."""
        self._closed = True
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        for _ in range(self.size):
            await self._seats.acquire()
        while self._idle:
            self._idle.pop().close()
        for _ in range(self.size):
            self._seats.release()

    async def _patiently(self, work: Work[T], whole: bool, repeatable: bool, deadline: float) -> T:
        pause = _FIRST_PAUSE
        attempts = 0
        while not self._closed:
            attempts += 1
            try:
                connection = await self._take()
                return await self._once(connection, self._session(connection, whole), work)
            except (psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure) as error:
                # The server has undone everything: start over.
                if attempts >= _ATTEMPTS:
                    raise LedgerAway(_OVERLOADED) from error
            except (psycopg2.errors.QueryCanceled, CancelledError) as error:
                # statement_timeout, which txpostgres takes for a cancellation of ours
                raise LedgerAway(_OVERLOADED) from error
            except _Lost as lost:
                if lost.in_doubt and not repeatable:
                    raise LedgerAway("The database was lost in the middle: look whether it was done.") from lost
                self._note_away(str(lost))
                if self._reactor.seconds() + pause > deadline:
                    raise LedgerAway(_AWAY) from lost
                await deferLater(self._reactor, pause, lambda: None)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except psycopg2.Error as error:
                raise LedgerError(one_line(error)) from error
        raise LedgerAway("The core is stopping: try again soon.")

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        try:
            made: Connection = await self._servers.connect()
        except psycopg2.OperationalError as error:
            raise _Lost(error, in_doubt=False) from None
        self._note_back()
        return made

    def _session(self, connection: Connection, whole: bool) -> _Session:
        """*whole*: in one transaction."""

        def watched(answer: Deferred[Any]) -> Deferred[Any]:
            # A server gives a statement up by itself; one that is frozen, or gone without a word, does not.
            asked, bound = self._reactor.seconds(), self._reactor.callLater(self._bound, connection.close)

            def over(result: Any) -> Any:
                if bound.active():
                    bound.cancel()
                self._metrics.stated(self._reactor.seconds() - asked)
                return result

            return answer.addBoth(over)

        session = _Session(connection.cursor(), watched)
        if whole:
            session.begin()
        return session

    async def _once(self, connection: Connection, session: _Session, work: Work[T]) -> T:
        """One transaction, by hand: txpostgres logs a failed rollback, which on a dead connection is no news."""
        committing = False
        try:
            answer = await work(session)
            committing = True
            await session.end()
        except BaseException as error:
            if await self._rolled_back(connection, session):
                self._idle.append(connection)
                raise
            if isinstance(error, (psycopg2.Error, ConnectionDone)):
                raise _Lost(error, in_doubt=committing) from None
            raise
        self._idle.append(connection)
        return answer

    async def _rolled_back(self, connection: Connection, session: _Session) -> bool:
        """Whether *connection* is fit for the next; otherwise it is closed."""
        try:
            if not connection.closed:
                await session.undo()
                return True
        except (psycopg2.Error, ConnectionDone):
            pass
        connection.close()
        return False

    def _note_away(self, why: str) -> None:
        if not self.away:
            self.away = True
            self._log.warn("the database at {place} is away: {why}", place=self.place, why=why)

    def _note_back(self) -> None:
        if self.away:
            self.away = False
            self._log.info("the database at {place} is back", place=self.place)


_AWAY = "The service cannot start new tunnels at the moment (its database does not answer): try again soon."
_OVERLOADED = "The database is overloaded at the moment: try again soon."
