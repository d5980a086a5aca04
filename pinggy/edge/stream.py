"""
The seam between visitors and ways in: a stream is one visitor's bytes to and from the client, flow controlled.

Both sides pause each other by plain calls (as asyncio's ``pause_writing`` does), so that nothing waits in memory but
what fits a window: the stream says `stream_full` when the client takes no more, the receiver says `pause` when the
visitor takes no more, and then the client's window is not credited.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol


class StreamReceiver(Protocol):
    """What the visitor's side is told. After `stream_closed` nothing more comes."""

    def stream_data(self, data: bytes) -> None:
        """The client sent *data*; it counts as taken when this returns, unless the stream was paused."""
        ...

    def stream_ended(self) -> None:
        """The client sends no more; it may still receive."""
        ...

    def stream_closed(self) -> None:
        """The stream is over both ways, however it came."""
        ...

    def stream_full(self) -> None:
        """Stop writing soon: the client's window is used up."""
        ...

    def stream_drained(self) -> None:
        """Write again."""
        ...


class Stream(Protocol):
    """What a way in offers. All methods are harmless after the stream is over."""

    def attach(self, receiver: StreamReceiver) -> None:
        """Tell *receiver* what comes from now on. What came before is told at once."""
        ...

    def write(self, data: bytes) -> None:
        """Send *data* to the client."""
        ...

    def end(self) -> None:
        """The visitor sends no more: the client reads the end after what was written."""
        ...

    def close(self) -> None:
        """Close both ways after what was written has been sent."""
        ...

    def abort(self) -> None:
        """Close both ways at once; what waits is dropped."""
        ...

    def pause(self) -> None:
        """The visitor takes no more: do not credit the client's window."""
        ...

    def resume(self) -> None:
        """The visitor takes again."""
        ...


class Cause(Enum):
    """Why there is no stream."""

    DOWN = auto()  # the local server was not reached
    TLS = auto()  # it was, but has not finished a TLS handshake
    FULL = auto()  # the tunnel has as many streams as it may have
    GONE = auto()  # the client itself has left


class StreamRefused(Exception):
    """There is no stream to the local server; the text says more than *cause*, for the owner."""

    def __init__(self, text: str, cause: Cause = Cause.DOWN) -> None:
        super().__init__(text)
        self.cause = cause

    @property
    def gone(self) -> bool:
        """Whether another edge may have the tunnel by now."""
        return self.cause is Cause.GONE
