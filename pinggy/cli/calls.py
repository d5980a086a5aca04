"""
One call of the core: a message out, a message back, a refusal as its sentence.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

from pinggy.cli.access import Access
from pinggy.cli.failure import CommandFailed
from pinggy.cli.places import Place, exchange
from pinggy.cli.tables import clean
from pinggy.tunnel.refusals import MalformedMessage
from pinggy.wire.codec import decode, encode
from pinggy.wire.messages import Refused

T = TypeVar("T")
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """The *message*, and its *body* as it came."""

    message: T
    body: bytes


class Core:
    """The core as the operator may use it. Every method raises `CommandFailed` where it says no, or nothing."""

    def __init__(self, access: Access, timeout: float = TIMEOUT) -> None:
        self._access = access
        self._timeout = timeout

    @property
    def place(self) -> Place:
        return self._access.place

    def get(self, path: str, cls: type[T], **query: str | None) -> Answer[T]:
        """The list at *path*; of *query* that which is not None."""
        asked = urlencode({name: value for name, value in query.items() if value is not None}, errors="replace")
        return self._understand(cls, self._exchange("GET", f"{path}?{asked}" if asked else path))

    def ask(self, path: str, cls: type[T]) -> Answer[T]:
        """What comes of having done what *path* names."""
        return self._understand(cls, self._exchange("POST", path, b"{}"))

    def add(self, path: str, message: Any, cls: type[T]) -> Answer[T]:
        """Say *message*, a value of `pinggy.wire.operator`; the answer is what has been made of it."""
        return self._understand(cls, self._exchange("POST", path, encode(message)))

    def take_away(self, path: str, ident: str) -> bytes:
        """Take away what *ident* names; the answer is the body, which says nothing more."""
        return self._exchange("DELETE", f"{path}/{quote(ident, safe='', errors='replace')}")

    def _understand(self, cls: type[T], body: bytes) -> Answer[T]:
        try:
            return Answer(message=decode(cls, body), body=body)
        except MalformedMessage as error:
            raise CommandFailed(
                f"The core at {self._access.url} is of another version than this command: {error}"
            ) from None

    def _exchange(self, method: str, target: str, body: bytes | None = None) -> bytes:
        access = self._access
        headers = {"Authorization": f"Bearer {access.key.reveal()}"}
        try:
            status, answered = exchange(access.place, method, target, headers, body, self._timeout)
        except http.client.HTTPException as error:
            raise CommandFailed(f"What answers at {access.url} is not a core: {clean(repr(error))}.") from error
        except OSError as error:
            raise CommandFailed(
                f"The core at {access.url} cannot be reached ({error.strerror or error}): start the service, or say "
                "with --core or --state where it is."
            ) from error
        if 200 <= status < 300:
            return answered
        raise CommandFailed(self._refusal(status, answered))

    def _refusal(self, status: int, body: bytes) -> str:
        try:
            text = clean(decode(Refused, body).text)
        except MalformedMessage:
            return f"What answers at {self._access.url} is not a core, or a broken one: it answered {status}."
        if status == http.client.UNAUTHORIZED:
            return f"{text} (The key was that of {self._access.key_from}.)"
        return text
