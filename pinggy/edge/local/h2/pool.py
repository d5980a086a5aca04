"""
The connections to one local server that speaks HTTP/2, as a rule a single one: another is made when all streams of the
others are in use, and they close when nobody has asked for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from pinggy.edge.local.h2.connection import H2Upstream


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A request that waits for a connection which begins as *leg*; *connect* makes one."""

    leg: object
    connect: Callable[[], Deferred[H2Upstream]]
    found: Deferred[H2Upstream]


class H2Pool:
    """Whoever asks while a connection is being made waits for that one."""

    __slots__ = ("_closed", "_connecting", "_upstreams", "_waiting")

    def __init__(self) -> None:
        self._upstreams: list[H2Upstream] = []
        self._waiting: list[_Waiting] = []
        self._connecting = False
        self._closed = False

    def reach(self, leg: object, connect: Callable[[], Deferred[H2Upstream]]) -> Deferred[H2Upstream]:
        """
        One that began as *leg* (`Policy.leg`) and has room for another request, which must be sent at once. Fails with
        `StreamRefused`, as *connect* does.
        """
        upstream = self._take(leg)
        if upstream is not None:
            return succeed(upstream)
        waiting = _Waiting(leg, connect, Deferred())
        self._wait(waiting)
        return waiting.found

    def close(self) -> None:
        """Nobody asks any more: each closes when the requests that it has are done."""
        self._closed = True
        for upstream in self._upstreams:
            upstream.retire()

    def _take(self, leg: object) -> H2Upstream | None:
        found = None
        for upstream in list(self._upstreams):
            if upstream.leg != leg:
                # The policy has changed since.
                upstream.retire()
            elif found is None and upstream.has_room:
                found = upstream
            if upstream.over:
                self._upstreams.remove(upstream)
        return found

    def _wait(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        if not self._connecting:
            self._connecting = True
            waiting.connect().addCallbacks(self._connected, self._not_connected)

    def _connected(self, upstream: H2Upstream) -> None:
        self._connecting = False
        self._upstreams.append(upstream)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if upstream.over and each.leg == upstream.leg:
                # To make another one for it would be no better.
                each.found.callback(upstream)
                continue
            found = self._take(each.leg)
            if found is not None:
                each.found.callback(found)
            else:
                self._wait(each)
        if self._closed:
            upstream.retire()

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = False
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.found.errback(Failure(failure.value))
