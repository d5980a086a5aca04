"""
The streams of one forwarding that wait for their next request, as a reverse proxy keeps its connections: whoever asks
next need not wait for a new channel and a new connection to the local server.
"""

from __future__ import annotations

from pinggy.edge.local.upstream import Upstream

MOST_IDLE = 64


class Pool:
    """The stream used last is taken first: those that are not needed grow old and are closed."""

    __slots__ = ("_idle",)

    def __init__(self) -> None:
        self._idle: list[Upstream] = []

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, tls: str | None, *, after: float) -> Upstream | None:
        """
        One that speaks TLS as *tls* says (see `Policy.local_tls`) and has waited since *after* or later, if there is
        one.
        """
        idle = self._idle
        while idle:
            upstream = idle[-1]
            if upstream.since < after:
                return None
            idle.pop()
            upstream.taken()
            if upstream.tls == tls:
                return upstream
            # The policy has changed since.
            upstream.close()
        return None

    def give(self, upstream: Upstream) -> None:
        """It may be taken again, as long as its end has not come."""
        self._idle.append(upstream)
        upstream.idle(self._idle.remove)
        if len(self._idle) > MOST_IDLE:
            self._idle[0].close()
