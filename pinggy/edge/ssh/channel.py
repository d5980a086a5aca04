"""
What Conch's SSHChannel lacks: flow control both ways (RFC 4254 5.2).

The local window is credited with what the owner has consumed, not with what has arrived; how large it is, `window`
says. What the remote window, or the connection, has no room for waits in a queue, and the owner is told by
`stopWriting` to write no more.

Imports nothing of ours, so that it could be offered upstream.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.conch.ssh.channel import SSHChannel

from pinggy.edge.ssh.window import START, ReceiveWindow

MAX_PACKET = 32 * 1024
# What one channel sends before the next one has its turn.
QUANTUM = 64 * 1024


class FlowChannel(SSHChannel):
    """
    Owners override `dataReceived`, `eofReceived`, `closed`, and `stopWriting` / `startWriting`.

    Data counts as consumed when `dataReceived` has returned, or, between `pauseProducing` and `resumeProducing`,
    at the latter.
    """

    conn: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("localWindow", START)
        kwargs.setdefault("localMaxPacket", MAX_PACKET)
        super().__init__(*args, **kwargs)
        self._queue: deque[memoryview] = deque()
        self._taken = 0
        self._window: ReceiveWindow | None = None
        self._paused = False
        self._stopped = False
        self._ending = False
        self._eof_sent = False
        self.isOpen = False

    # -- what comes in ----------------------------------------------------------------------------------------

    def taken(self, count: int) -> None:
        """*count* bytes have been handed to the owner."""
        self._taken += count
        if not self._paused:
            self._credit()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._credit()

    def _credit(self) -> None:
        window = self._window
        if window is not None and window.is_due(self._taken):
            credit = window.credit(self._taken, self.conn.clock.seconds())
            self._taken = 0
            if credit:
                self.conn.adjustWindow(self, credit)

    # -- what goes out ----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not data or self.localClosed or self.closing or self._ending:
            return
        if not self._queue and not self.conn.held and len(data) <= min(self.remoteWindowLeft, self.remoteMaxPacket):
            self.remoteWindowLeft -= len(data)
            self.conn.sendData(self, data)
            return
        self._queue.append(memoryview(data))
        self.conn.queuedChanged(len(data))
        self._flush()

    def queued(self) -> int:
        """Bytes that could not be sent yet."""
        return sum(map(len, self._queue))

    def end(self) -> None:
        """Send EOF after what has been written; the other side may go on."""
        self._ending = True
        self._flush()

    def loseConnection(self) -> None:
        """Close after what has been written."""
        self.closing = 1
        self._flush()

    def abortConnection(self) -> None:
        """Close at once; what waits is dropped."""
        self.closing = 1
        self._drop_queue()
        self._flush()

    def over(self) -> None:
        """The channel is closed both ways, or the connection lost: what it had of the connection is given back."""
        self._drop_queue()
        if self._window is not None:
            self._window.close()
            self._window = None

    def _drop_queue(self) -> None:
        dropped = self.queued()
        self._queue.clear()
        if dropped:
            self.conn.queuedChanged(-dropped)

    def addWindowBytes(self, data: int) -> None:
        self.remoteWindowLeft += data
        self._flush()
        self.conn.serveWaiting()

    def connectionHeldChanged(self) -> None:
        """All channels must stop writing, or may write again."""
        # One that is being opened has no connection yet, and is told when it opens.
        if self.isOpen:
            self._say_if_stopped()

    def turn(self) -> None:
        """It is this channel's turn to send what waits."""
        self._flush()

    def channelOpen(self, specificData: bytes) -> None:
        self.isOpen = True
        self._window = ReceiveWindow(self.localWindowSize, self.conn.budget, self.conn.clock.seconds())
        self._flush()

    def closeReceived(self) -> None:
        self.abortConnection()

    def _flush(self) -> None:
        if not self.isOpen:
            return
        left = QUANTUM
        while self._queue and self.remoteWindowLeft > 0 and not self.localClosed:
            if left <= 0 or self.conn.held:
                self.conn.wait(self)
                # Its next turn may be now: then nobody else waits, or they have theirs first.
                self.conn.serveWaiting()
                break
            left -= self._send_one()
        if not self._queue:
            if self.closing:
                self.conn.sendClose(self)
                return
            if self._ending and not self._eof_sent:
                self._eof_sent = True
                self.conn.sendEOF(self)
        self._say_if_stopped()

    def _send_one(self) -> int:
        """One packet of what waits; the bytes of it."""
        head = self._queue[0]
        size = min(len(head), self.remoteWindowLeft, self.remoteMaxPacket)
        if size == len(head):
            self._queue.popleft()
        else:
            self._queue[0] = head[size:]
        self.remoteWindowLeft -= size
        self.conn.queuedChanged(-size)
        self.conn.sendData(self, head[:size])
        return size

    def _say_if_stopped(self) -> None:
        stopped = bool(self._queue) or self.conn.holdsAll
        if stopped != self._stopped:
            self._stopped = stopped
            if stopped:
                self.stopWriting()
            else:
                self.startWriting()

    def stopWriting(self) -> None:
        """Write no more until `startWriting`; what is written all the same waits in memory."""

    def startWriting(self) -> None:
        """Write again."""
