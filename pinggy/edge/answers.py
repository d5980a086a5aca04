"""
What the edge itself answers: short, plain, and a sentence for whoever reads it: what happened, what the owner can do.

No sentence holds a word of a stranger.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from pinggy.http.head import Headers

NO_TUNNEL = "No tunnel has this name at the moment. If it is yours: start it again, or check the name that it printed."
NO_WEB_HERE = "The tunnel of this name does not serve HTTP. If it is yours: open the URL that it printed."
ENDED = "The tunnel of this name has ended. If it is yours: start it again."
FULL = "The tunnel of this name has as many visitors as it may have at the moment: try again soon."
DOWN = (
    "The local server behind this tunnel refused the connection. If it is yours: is it running, on the port after -R?"
)
CLOSED = "The local server behind this tunnel closed the connection without an answer. If it is yours: look at its log."
NONSENSE = (
    "The local server behind this tunnel answered with something that is not HTTP. If it is yours: check its port."
)
MOVING = (
    "The tunnel of this name is on its way to another place, and has not come there yet. If it is yours: does it run?"
)
MISDIRECTED = "This connection is another host's: open one of your own."
LOCKED = "This tunnel asks for a password or a key. Its owner has them."
BY_TLS = "This tunnel is visited by https only."
TOO_SLOW = "The request did not come in time."


def silent(seconds: float) -> str:
    """For 504: so long nothing came."""
    return (
        f"The local server behind this tunnel was silent for {seconds:g} s. If it is yours: look at what it is doing."
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the edge answers itself. *headers* are our own: none of their values comes from a stranger unread."""

    status: int
    sentence: str
    headers: Headers = ()


def written(answer: Answer, *, bodiless: bool = False, connection: str = "close") -> bytes:
    """The whole response. *bodiless* where HEAD was asked. *connection* is ``close`` or ``keep-alive``."""
    body = answer.sentence.encode("ascii") + b"\n"
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        *(f"{name}: {value}" for name, value in answer.headers),
        f"Connection: {connection}",
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head if bodiless else head + body
