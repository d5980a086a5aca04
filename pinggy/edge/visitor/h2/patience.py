"""
With a visitor who does not take what waits for him in a stream: behind a window that he never opens it would hold a
stream of the tunnel, and a connection of the local server, for as long as he likes.
"""

from __future__ import annotations

from collections.abc import Callable

from pinggy.edge.deadline import Deadline
from pinggy.edge.h2.outlet import Sender
from pinggy.edge.visitor.h2.seam import Connection


class Patience:
    """Of *connection* with *sender*; when it ends, *given_up* is called."""

    __slots__ = ("_connection", "_deadline", "_given_up", "_sender", "_sent")

    def __init__(self, connection: Connection, sender: Sender, given_up: Callable[[], object]) -> None:
        self._connection = connection
        self._sender = sender
        self._given_up = given_up
        self._sent = -1
        self._deadline = Deadline(connection.clock, self._look)

    def wait(self) -> None:
        """Something waits, and some has gone just now, or it is the first."""
        self._deadline.set(self._connection.body_seconds)

    def moved(self, *, waits: bool) -> None:
        """Some has gone; whether more *waits*."""
        if waits:
            self.wait()
        else:
            self._deadline.clear()

    def stop(self) -> None:
        self._deadline.stop()

    def _look(self) -> None:
        outlet = self._connection.outlet
        before, self._sent = self._sent, outlet.sent
        # Of a socket that takes nothing `Wire` will say so. He who opens the window of the connection is slow, but
        # reads, where frames of others have gone.
        if self._connection.is_full() or not (outlet.stands_aside(self._sender) or outlet.sent == before):
            self.wait()
        else:
            self._given_up()
