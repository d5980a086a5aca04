"""
A visitor's hold of a link: his stream, and of no use any more when the link serves the next one.
"""

from __future__ import annotations

from pinggy.edge.stream import Stream, StreamReceiver


class LinkStream(Stream):
    """*link* is a stream too: that of whichever visitor has it."""

    def __init__(self, link: Stream) -> None:
        self._link: Stream | None = link

    def let_go(self) -> None:
        """The link is not this visitor's any more: whatever is still asked here is nothing to it."""
        self._link = None

    def attach(self, receiver: StreamReceiver) -> None:
        if self._link is not None:
            self._link.attach(receiver)

    def write(self, data: bytes) -> None:
        if self._link is not None:
            self._link.write(data)

    def end(self) -> None:
        if self._link is not None:
            self._link.end()

    def close(self) -> None:
        if self._link is not None:
            self._link.close()

    def abort(self) -> None:
        if self._link is not None:
            self._link.abort()

    def pause(self) -> None:
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        if self._link is not None:
            self._link.resume()
