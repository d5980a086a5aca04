"""
One writer a server: what comes while a PATCH is under way waits, and goes into the next one together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from pinggy.dns.powerdns.changes import Change, Refused
from pinggy.dns.powerdns.queue import Entry, Outcome, Queue

# Changes in one PATCH: with proofs some 250 KB, a quarter of what a zone gate reads.
MOST_AT_ONCE = 500
MOST_WAITING = 100_000


class ServerAway(Exception):
    """The server does not take changes; the text says why, fit to follow its name and a colon."""


class BatchRefused(Exception):
    """The server took nothing of a PATCH because of something in it; the text is what it said."""


# Fires with what was refused of a PATCH, by name. Fails with `ServerAway` or `BatchRefused`.
Send = Callable[[Sequence[Change]], Deferred[Mapping[str, Refused]]]


class Writer:
    """*send* is never called again before it has fired."""

    _log = Logger()

    def __init__(self, send: Send, *, most_at_once: int = MOST_AT_ONCE, most_waiting: int = MOST_WAITING) -> None:
        self._send = send
        self._most_at_once = most_at_once
        self._most_waiting = most_waiting
        self._queue = Queue()
        self._calls: set[_Call] = set()
        self._working = False
        self._when_idle: list[Deferred[None]] = []

    def put(self, changes: Sequence[Change]) -> Deferred[tuple[Outcome, ...]]:
        """
        Fires with what became of each of *changes* when the server has answered for all. Fails with `ServerAway`, and
        then all that waits does.
        """
        if not changes:
            return succeed(())
        if len(self._queue) + len(changes) > self._most_waiting:
            return fail(ServerAway("more changes wait for it than there may"))
        call = _Call(len(changes))
        self._calls.add(call)
        for index, change in enumerate(changes):
            self._queue.add(change, partial(self._tell, call, index))
        if not self._working:
            self._working = True
            Deferred.fromCoroutine(self._work())
        return call.done

    def idle(self) -> Deferred[None]:
        """Fires when nothing is under way."""
        idle: Deferred[None] = Deferred()
        self._when_idle.append(idle)
        if not self._working:
            self._tell_idle()
        return idle

    async def _work(self) -> None:
        try:
            while self._queue:
                batch = self._queue.take(self._most_at_once)
                refused = await self._write(batch)
                for entry in batch:
                    self._queue.settle(entry, refused.get(entry.change.name))
        except ServerAway as error:
            self._give_up(error)
        except Exception:
            self._log.failure("a writer broke")
            self._give_up(ServerAway("its writer broke"))
        self._working = False
        if self._queue:
            # Somebody who was told put more.
            self._working = True
            Deferred.fromCoroutine(self._work())
        else:
            self._tell_idle()

    def _tell_idle(self) -> None:
        waiting, self._when_idle = self._when_idle, []
        for each in waiting:
            each.callback(None)

    async def _write(self, batch: Sequence[Entry]) -> Mapping[str, Refused]:
        """PowerDNS takes all of a PATCH or nothing: what it refuses is halved until the culprit stands alone."""
        try:
            return await self._send([entry.change for entry in batch])
        except BatchRefused as error:
            if len(batch) == 1:
                name = batch[0].change.name
                return {name: Refused(name=name, why=str(error))}
        middle = len(batch) // 2
        return {**await self._write(batch[:middle]), **await self._write(batch[middle:])}

    def _give_up(self, error: ServerAway) -> None:
        self._queue = Queue()
        calls, self._calls = self._calls, set()
        for call in calls:
            call.fail(error)

    def _tell(self, call: _Call, index: int, outcome: Outcome) -> None:
        if call.tell(index, outcome):
            self._calls.discard(call)


class _Call:
    """One `Writer.put`: fires when each of its *count* changes has its outcome."""

    def __init__(self, count: int) -> None:
        self.done: Deferred[tuple[Outcome, ...]] = Deferred()
        self._outcomes: list[Outcome] = [None] * count
        self._left = count

    def tell(self, index: int, outcome: Outcome) -> bool:
        """Whether that was the last one."""
        self._outcomes[index] = outcome
        self._left -= 1
        # Whoever waited may have left (cancelled).
        if not self._left and not self.done.called:
            self.done.callback(tuple(self._outcomes))
        return not self._left

    def fail(self, error: ServerAway) -> None:
        if not self.done.called:
            self.done.errback(error)
