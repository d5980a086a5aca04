"""
What Conch's SSHChannel lacks: flow control both ways (RFC 4254 5.2).

The local window is credited with what the owner has consumed, not with what has arrived. What the remote window has
no room for waits in a queue, and the owner is told by `stopWriting` to write no more.

Imports nothing of ours, so that it could be offered upstream.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.conch.ssh.channel import SSHChannel

WINDOW = 2 * 1024 * 1024
MAX_PACKET = 32 * 1024


class FlowChannel(SSHChannel):
    """
    Owners override `dataReceived`, `eofReceived`, `closed`, and `stopWriting` / `startWriting`.

    Data counts as consumed when `dataReceived` has returned, or, between `pauseProducing` and `resumeProducing`,
    at the latter.
    """

    conn: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("localWindow", WINDOW)
        kwargs.setdefault("localMaxPacket", MAX_PACKET)
        super().__init__(*args, **kwargs)
        self._queue: deque[memoryview] = deque()
        self._taken = 0
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
        # A quarter at a time: a credit is a packet, and the other side must never run dry before it comes.
        if self._taken * 4 >= self.localWindowSize and self.isOpen:
            count, self._taken = self._taken, 0
            self.conn.adjustWindow(self, count)

    # -- what goes out ----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not data or self.localClosed or self.closing or self._ending:
            return
        if not self._queue and not self.conn.held and len(data) <= min(self.remoteWindowLeft, self.remoteMaxPacket):
            self.remoteWindowLeft -= len(data)
            self.conn.sendData(self, data)
            return
        self._queue.append(memoryview(data))
        self._flush()

    def queued(self) -> int:
        """Bytes that wait for room in the remote window."""
        return sum(len(each) for each in self._queue)

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
        self._queue.clear()
        self._flush()

    def addWindowBytes(self, data: int) -> None:
        self.remoteWindowLeft += data
        self._flush()

    def connectionHeld(self) -> None:
        # One that is being opened has no connection yet, and is told when it opens.
        if self.isOpen:
            self._say_if_stopped()

    def connectionReleased(self) -> None:
        self._flush()

    def channelOpen(self, specificData: bytes) -> None:
        self.isOpen = True
        self._flush()

    def closeReceived(self) -> None:
        self.abortConnection()

    def _flush(self) -> None:
        if not self.isOpen:
            return
        while self._queue and self.remoteWindowLeft > 0 and not self.conn.held and not self.localClosed:
            head = self._queue[0]
            size = min(len(head), self.remoteWindowLeft, self.remoteMaxPacket)
            if size == len(head):
                self._queue.popleft()
            else:
                self._queue[0] = head[size:]
            self.remoteWindowLeft -= size
            self.conn.sendData(self, bytes(head[:size]))
        if not self._queue:
            if self.closing:
                self.conn.sendClose(self)
                return
            if self._ending and not self._eof_sent:
                self._eof_sent = True
                self.conn.sendEOF(self)
        self._say_if_stopped()

    def _say_if_stopped(self) -> None:
        stopped = bool(self._queue) or self.conn.held
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
