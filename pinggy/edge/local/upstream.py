"""
One stream that speaks HTTP/1.1, for one request after another: to a local server, or to another edge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from pinggy.edge.counted import Counted
from pinggy.edge.deadline import Deadline
from pinggy.edge.stream import Stream

# Seconds without a request. Most local servers close an idle connection much sooner.
LONGEST_IDLE = 60.0


class UpstreamUser(Protocol):
    """Who has the stream at the moment: one exchange of a request and its response."""

    def server_data(self, data: bytes) -> None: ...

    def server_ended(self) -> None:
        """The local server sends no more."""
        ...

    def server_lost(self) -> None:
        """The stream is over both ways."""
        ...

    def server_full(self) -> None: ...

    def server_drained(self) -> None: ...


class Upstream:
    """
    The receiver of *stream* for as long as it lives. It counts what passes, and says `stream_over` to *tunnel* once.

    *full*: the client takes no more for now. *ended*: the local server sends no more. *over*: it is of no use any
    more. *served* is how many requests it has had, *since* when it has been idle, in seconds of *clock*. Nobody asked
    for what comes while there is no *user*: then the stream is dropped. *tls* is how it speaks to the local server
    (`Policy.local_tls`).

    One that is *bound* is its *owner*'s alone; others are given to a pool when their request is done. *is_away*: it
    leads to another edge. *farewell*: the visitor should look for that edge, so this is the last answer that he gets
    here.
    """

    __slots__ = (
        "_deadline",
        "_forget",
        "_paused",
        "_stream",
        "bound",
        "ended",
        "farewell",
        "full",
        "is_away",
        "over",
        "owner",
        "release",
        "served",
        "since",
        "tls",
        "tunnel",
        "user",
    )

    def __init__(
        self,
        tunnel: Counted,
        stream: Stream,
        clock: IReactorTime,
        *,
        release: Callable[[Upstream], object] | None = None,
        tls: str | None = None,
        bound: bool = False,
        is_away: bool = False,
        farewell: bool = False,
    ) -> None:
        self.tunnel = tunnel
        self.release = release
        self.tls = tls
        self.bound = bound
        self.owner: object = None
        self.is_away = is_away
        self.farewell = farewell
        self.user: UpstreamUser | None = None
        self.served = 0
        self.since = 0.0
        self.full = False
        self.ended = False
        self.over = False
        self._paused = False
        self._stream = stream
        self._forget: Callable[[Upstream], object] | None = None
        self._deadline = Deadline(clock, self.close)
        self.tunnel.kept.add(self)

    def attach(self, user: UpstreamUser) -> None:
        """*user* has it from now on; something may have come already."""
        self.user = user
        if not self.served:
            self._stream.attach(self)
            if self._paused:
                # Before there was anything to pause: to be attached to is to be read.
                self._stream.pause()

    def done(self) -> None:
        """The request of its user is done, and well: it may have another one."""
        self.user = None
        self.served += 1
        self.resume()
        if self.release is not None and not self.bound:
            self.release(self)

    # -- between requests, in a pool -----------------------------------------------------------------------------

    def idle(self, forget: Callable[[Upstream], object]) -> None:
        """It waits for its next request from now on; *forget* is called if its end comes first."""
        self._forget = forget
        self.since = self._deadline.set(LONGEST_IDLE)

    def taken(self) -> None:
        """Somebody is about to have it."""
        self._forget = None
        self._deadline.clear()

    def close_if_idle(self) -> None:
        """The tunnel has ended: what no exchange has in hand is of no use any more."""
        if self.user is None and not self.over:
            self.close()

    # -- from the visitor ----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.tunnel.tally.received += len(data)
        self._stream.write(data)

    def end(self) -> None:
        self._stream.end()

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._stream.pause()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._stream.resume()

    def close(self) -> None:
        self._finish()
        self._stream.close()

    def abort(self) -> None:
        self._finish()
        self._stream.abort()

    # -- StreamReceiver ------------------------------------------------------------------------------------------

    def stream_data(self, data: bytes) -> None:
        self.tunnel.tally.sent += len(data)
        if self.user is not None:
            self.user.server_data(data)
        elif not self.over:
            self.abort()

    def stream_ended(self) -> None:
        self.ended = True
        if self.user is not None:
            self.user.server_ended()
        elif not self.over:
            self.close()

    def stream_closed(self) -> None:
        user = self.user
        self._finish()
        if user is not None:
            user.server_lost()

    def stream_full(self) -> None:
        self.full = True
        if self.user is not None:
            self.user.server_full()

    def stream_drained(self) -> None:
        self.full = False
        if self.user is not None:
            self.user.server_drained()

    def _finish(self) -> None:
        self.user = None
        if self.over:
            return
        self.over = True
        self._deadline.stop()
        if self._forget is not None:
            self._forget(self)
        self.tunnel.kept.discard(self)
        self.tunnel.stream_over()
