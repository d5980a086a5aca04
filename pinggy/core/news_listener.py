"""
What other cores say: a connection of its own that listens, and is made again when it is lost.

What was said meanwhile is not said again: then everybody looks for himself (`News.gap`).
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import psycopg2
from twisted.internet.defer import CancelledError, Deferred, gatherResults, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.core.connections import Connection, Servers, one_line
from pinggy.core.news import CHANNEL, News

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_BEAT = 10.0  # seconds between two looks whether the server still answers
_ANSWER = 5.0  # seconds for it
_MOST_TO_CARRY = 1000
_NOTIFY = "SELECT pg_notify(%s, text) FROM unnest(%s::text[]) AS text"


class _Listening(Connection):
    """*take* is called with each text, at once: txpostgres would leave it to a global cooperator."""

    def __init__(self, reactor: IReactorTime, news: News) -> None:
        super().__init__(reactor)
        self._news = news

    def checkForNotifies(self) -> None:
        said = self.pollable().notifies
        while said:
            self._news.arrived(said.pop(0).payload)


class NewsListener:
    """Brings *news* what other cores tell, from its start to its end."""

    _log = Logger()

    def __init__(self, reactor: Any, servers: Servers, news: News) -> None:
        self._reactor = reactor
        self._servers = servers
        self._news = news
        self._connection: _Listening | None = None
        self._waiting: Deferred[None] | None = None
        self._missing = False
        self._stopped = False
        self._listens: Deferred[None] = Deferred()
        self._over: Deferred[None] | None = None
        self._to_carry: list[str] = []
        self._carrying = False
        # Each fires when what was asked of the database is answered, or lost.
        self._in_hand: set[Deferred[None]] = set()
        news.carry = self._carry

    @property
    def hears(self) -> bool:
        return self._listens.called and not self._missing and not self._stopped

    def start(self) -> Deferred[None]:
        """Fires when it listens for the first time, or is stopped before."""
        self._over = Deferred.fromCoroutine(self._listen_for_ever()).addErrback(self._broke)
        return self._listens

    def stop(self) -> Deferred[None]:
        """Fires when the connection is closed, and nothing more is awaited of it."""
        self._stopped = True
        if self._connection is not None:
            self._connection.close()
        if self._waiting is not None:
            self._waiting.cancel()
        if not self._listens.called:
            self._listens.callback(None)
        return gatherResults([_fired_like(each) for each in (self._over or succeed(None), *self._in_hand)]).addCallback(
            lambda _: None
        )

    async def _listen_for_ever(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopped:
            try:
                lost = await self._listen()
            except psycopg2.Error as error:
                self._missed(one_line(error))
            else:
                pause = _FIRST_PAUSE
                self._heard()
                await self._until(lost)
                self._missed("the connection that brings it was lost")
            # Spread, so that the cores do not all come back at one instant.
            await self._wait(deferLater(self._reactor, pause * random.uniform(0.5, 1.0)))  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _listen(self) -> Deferred[None]:
        """Returns when it listens; what it returns fires when it does not any more."""
        lost: Deferred[None] = Deferred()
        connection = await self._servers.connect(self._make)
        connection.on_lost = lambda: None if lost.called else lost.callback(None)
        await self._ask(connection, f"LISTEN {CHANNEL}")
        return lost

    def _make(self, reactor: Any) -> _Listening:
        self._connection = _Listening(reactor, self._news)
        return self._connection

    async def _until(self, lost: Deferred[None]) -> None:
        """A server that is frozen, or gone without a word, does not tell that it is lost: it is asked."""
        beat = LoopingCall(lambda: Deferred.fromCoroutine(self._beat()))
        beat.clock = self._reactor
        beat.start(_BEAT, now=False)
        await self._wait(lost)
        beat.stop()

    async def _beat(self) -> None:
        assert self._connection is not None
        with suppress(psycopg2.Error):
            await self._ask(self._connection, "SELECT 1")

    def _carry(self, text: str) -> None:
        """With all that has come meanwhile, when what was sent before has arrived."""
        if not self.hears or len(self._to_carry) >= _MOST_TO_CARRY:
            return
        self._to_carry.append(text)
        if len(self._to_carry) == 1 and not self._carrying:
            Deferred.fromCoroutine(self._carry_all()).addErrback(self._broke)

    async def _carry_all(self) -> None:
        self._carrying = True
        try:
            while self._to_carry and self.hears:
                assert self._connection is not None
                texts, self._to_carry = self._to_carry, []
                await self._ask(self._connection, _NOTIFY, CHANNEL, texts)
        except psycopg2.Error:
            # The connection is lost with all that was to go over it.
            pass
        finally:
            self._carrying = False
            self._to_carry.clear()

    async def _ask(self, connection: _Listening, sql: str, *values: object) -> None:
        """Closes *connection* where it is not answered."""
        bound = self._reactor.callLater(_ANSWER, connection.close)
        over: Deferred[None] = Deferred()
        self._in_hand.add(over)
        try:
            await connection.runOperation(sql, values)
        except psycopg2.Error:
            connection.close()
            raise
        except (ConnectionDone, ConnectionLost) as error:
            raise psycopg2.OperationalError(str(error)) from None
        finally:
            if bound.active():
                bound.cancel()
            self._in_hand.discard(over)
            over.callback(None)

    async def _wait(self, event: Deferred[None]) -> None:
        """Until *event*, or the end."""
        self._waiting = event
        if self._stopped:
            event.cancel()
        try:
            await event
        except CancelledError:
            if not self._stopped:
                raise
        finally:
            self._waiting = None

    def _heard(self) -> None:
        if self._missing:
            self._missing = False
            self._log.info("news of other cores is heard again")
            self._news.gap()
        if not self._listens.called:
            self._listens.callback(None)

    def _missed(self, why: str) -> None:
        if not self._missing and not self._stopped:
            self._missing = True
            self._log.warn("news of other cores is missed: {why}", why=why)

    def _broke(self, failure: Failure) -> None:
        self._log.failure("listening for news broke", failure)


def _fired_like(call: Deferred[None]) -> Deferred[None]:
    fired: Deferred[None] = Deferred()
    call.addCallback(fired.callback)
    return fired
