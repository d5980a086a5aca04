"""
The seam between one request of a visitor and the connection that it belongs to.
"""

from __future__ import annotations

from typing import Protocol

from h2.errors import ErrorCodes
from twisted.internet.interfaces import IReactorTime

from pinggy.edge.h2.outlet import Outlet
from pinggy.edge.visitor.route import Route, Traveller
from pinggy.http.h2heads import Fields


class Connection(Protocol):
    """What a stream asks of the connection that it belongs to."""

    @property
    def outlet(self) -> Outlet: ...

    @property
    def clock(self) -> IReactorTime: ...

    @property
    def body_seconds(self) -> float: ...

    @property
    def answer_seconds(self) -> float: ...

    @property
    def linger_seconds(self) -> float: ...

    def way_for(self, traveller: Traveller) -> Route: ...

    def credit(self, number: int, size: int) -> None:
        """So many bytes of stream *number* have gone on."""
        ...

    def send_headers(self, number: int, fields: Fields, *, ends: bool) -> None:
        """Harmless where the visitor has taken the stream back."""
        ...

    def end_stream(self, number: int) -> None: ...

    def reset(self, number: int, code: ErrorCodes) -> None: ...

    def flush(self) -> None: ...

    def farewell(self) -> None:
        """No other request may come over this connection."""
        ...

    def over(self, number: int) -> None: ...

    def is_full(self) -> bool:
        """Whether the visitor does not read."""
        ...
