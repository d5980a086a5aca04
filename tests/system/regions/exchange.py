"""
One visitor's connection to an edge, and what it does with it: HTTP/1.1 by hand, for every byte is to be looked at.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass

_LONGEST_HEAD = 32 * 1024
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """*what* has failed; or the *data* of an answer, whether the connection *ended_early* and if it *may_go_on*."""

    what: str = ""
    data: bytes | None = None
    ended_early: bool = False
    may_go_on: bool = False


class Connection:
    """*edge* is the address that it goes to."""

    def __init__(self, edge: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.edge = edge
        self._reader = reader
        self._writer = writer

    @property
    def is_over(self) -> bool:
        """The other side has closed it between two requests: nothing is lost, a new one is made."""
        return self._reader.at_eof() or self._reader.exception() is not None or self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()

    async def http(self, host: str, path: str, body: bytes, *, keep: bool) -> Outcome:
        method = "POST" if body else "GET"
        closing = "" if keep else "Connection: close\r\n"
        head = f"{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{closing}\r\n"
        self._writer.write(head.encode() + body)
        await self._writer.drain()
        try:
            answer = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            return Outcome("no-answer" if not error.partial else "cut-short")
        status, length = _STATUS.match(answer), _LENGTH.search(answer)
        if status is None or length is None:
            return Outcome("no-http")
        try:
            data, ended_early = await self._reader.readexactly(int(length[1])), False
        except asyncio.IncompleteReadError as error:
            data, ended_early = error.partial, True
        may_go_on = not ended_early and _CLOSES.search(answer) is None
        if status[1] != b"200":
            return Outcome(f"http-{status[1].decode()}", may_go_on=may_go_on)
        return Outcome(data=data, ended_early=ended_early, may_go_on=may_go_on)

    async def lines(self, question: str, body: bytes) -> Outcome:
        """For plain TCP: a line and a body; the answer is what comes until the end."""
        self._writer.write(question.encode() + b"\n" + body)
        await self._writer.drain()
        data = await self._reader.read(-1)
        return Outcome(data=data, ended_early=True) if data else Outcome("no-answer")


async def open_connection(
    edge: str, port: int, *, context: ssl.SSLContext | None = None, host: str | None = None
) -> Connection:
    """With a *context* over TLS, for *host*. Raises OSError."""
    reader, writer = await asyncio.open_connection(
        edge, port, limit=_LONGEST_HEAD, ssl=context, server_hostname=host if context is not None else None
    )
    return Connection(edge, reader, writer)
