"""
What a visitor sends over one HTTP/1.1 connection, cut into heads and bodies.
"""

from __future__ import annotations

from pinggy.edge.visitor.limits import WebLimits
from pinggy.http.collector import HeadCollector
from pinggy.http.framing import Body, Trailers, body_of
from pinggy.http.head import RequestHead, parse_request


class Requests:
    """
    One request after another. *waiting* is what has come and not been read; *in_body*: more of the body of the last
    request must come. When all has, *trailers* are what came behind it.
    """

    __slots__ = ("_body", "_heads", "_limits", "in_body", "trailers", "waiting")

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._heads = HeadCollector(limits.head_bytes, empty_line_first=True)
        self._body: Body | None = None
        self.waiting = b""
        self.in_body = False
        self.trailers: Trailers = ()

    @property
    def started(self) -> bool:
        """Whether a part of a head has come."""
        return self._heads.started

    def head(self) -> RequestHead | None:
        """The next one, if all of it waits. Raises `Malformed`."""
        data, self.waiting = self.waiting, b""
        found = self._heads.feed(data)
        if found is None:
            return None
        self.waiting = found[1]
        limits = self._limits
        head = parse_request(found[0], most_headers=limits.header_count, longest=limits.target_bytes)
        if head.framing:
            self.in_body = True
            self._body = body_of(head.framing)
        self.trailers = ()
        return head

    def content(self, data: bytes) -> bytes:
        """What *data* has of the body; nothing waits before it. Raises `Malformed`."""
        assert self._body is not None
        content, self.waiting, done = self._body.feed(data)
        if done:
            self.in_body = False
            self.trailers = self._body.trailers
        return content
