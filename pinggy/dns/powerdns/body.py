"""
The body of an answer: bounded, and cut where nobody waits for it any more.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse


class TooLong(Exception):
    """The body is longer than it may be."""


def read_body(response: IResponse, longest: int) -> Deferred[bytes]:
    """
    The whole body; fails with `TooLong` beyond *longest* bytes. Then, and when it is cancelled, the connection is
    closed: a peer that sends for ever must not be heard for ever.
    """
    body = _Body(longest)
    response.deliverBody(body)
    return body.whole


class _Body(Protocol):
    transport: Any

    def __init__(self, longest: int) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._abort())
        self._left = longest
        self._pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._pieces.append(data)
        elif not self.whole.called:
            self._abort()
            self.whole.errback(TooLong())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._pieces))
        else:
            self.whole.errback(reason)

    def _abort(self) -> None:
        self._pieces.clear()
        if self.transport is not None:
            self.transport.loseConnection()
