"""
One stream to a local server, kept by one visitor connection for its requests to one forwarding.
"""

from __future__ import annotations

from typing import Protocol

from pinggy.edge.elsewhere import Away
from pinggy.edge.stream import Stream
from pinggy.edge.tunnels import Counted, LiveForwarding


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
    The receiver of *stream* for as long as it lives. It counts what passes, and says `stream_over` once.

    *full*: the client takes no more for now. *ended*: the local server sends no more. *over*: it is of no use any
    more. Nobody asked for what comes while there is no *user*: then the stream is dropped. *to* is what it leads to.
    *farewell*: the visitor should look for another edge, so this is the last answer that he gets here.
    """

    __slots__ = ("_stream", "ended", "farewell", "full", "over", "served", "to", "tunnel", "user")

    def __init__(self, to: LiveForwarding | Away, stream: Stream, *, farewell: bool = False) -> None:
        self.to = to
        self.tunnel: Counted = to if isinstance(to, Away) else to.tunnel
        self.farewell = farewell
        self.user: UpstreamUser | None = None
        self.served = 0
        self.full = False
        self.ended = False
        self.over = False
        self._stream = stream
        self.tunnel.kept.add(self)

    @property
    def is_away(self) -> bool:
        """Whether it leads to another edge."""
        return isinstance(self.to, Away)

    def attach(self) -> None:
        """Begin to receive. Set *user* first: something may have come already."""
        self._stream.attach(self)

    # -- from the visitor ----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.tunnel.tally.received += len(data)
        self._stream.write(data)

    def end(self) -> None:
        self._stream.end()

    def pause(self) -> None:
        self._stream.pause()

    def resume(self) -> None:
        self._stream.resume()

    def close(self) -> None:
        self._finish()
        self._stream.close()

    def abort(self) -> None:
        self._finish()
        self._stream.abort()

    def close_if_idle(self) -> None:
        """The tunnel has ended: what no exchange has in hand is of no use any more."""
        if self.user is None and not self.over:
            self.close()

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
        if not self.over:
            self.over = True
            self.tunnel.kept.discard(self)
            self.tunnel.stream_over()
