"""
A local server of the things that nginx has not: websockets, event streams, and a place for uploads.

    python -m benchmarks.web.local_server      prints its port

``/`` answers with a few bytes; ``/echo`` is a websocket that sends each small frame back; ``/events`` writes an event
each `EVERY` seconds that is the time of its own writing, in nanoseconds of CLOCK_MONOTONIC, which is the same clock in
all processes; a body of a PUT is dropped as fast as it comes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import sys
import time
from typing import cast

EVERY = 0.02
PIECE = 256 * 1024
_HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n\r\nhello from the laptop"
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SMALL = 126  # a frame below has no longer length


class Connection(asyncio.BufferedProtocol):
    # All connections read into the same memory: what came is used before the next one reads.
    _into = bytearray(PIECE)

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        self._is_socket = False
        self._telling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._telling is not None:
            self._telling.cancel()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._into

    def buffer_updated(self, count: int) -> None:
        if self._left:
            self._drop(count)
        else:
            self._held += self._into[:count]
            if self._is_socket:
                self._echo()
            else:
                self._answer()

    def _answer(self) -> None:
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head, self._held = self._held[: end + 4], self._held[end + 4 :]
            path = head.split(b" ", 2)[1]
            if path == b"/echo":
                self._open_socket(head)
                return
            if path == b"/events":
                self._telling = asyncio.ensure_future(self._tell())
                return
            if length := re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE):
                self._left = int(length[1])
                came, self._held = len(self._held), b""
                self._drop(came)
                return
            self._transport.write(_HELLO)

    def _drop(self, count: int) -> None:
        self._left -= count
        if not self._left:
            self._transport.write(_HELLO)

    def _open_socket(self, head: bytes) -> None:
        self._is_socket = True
        key = re.search(rb"\r\nsec-websocket-key: *(\S+)", head, re.IGNORECASE)
        accept = base64.b64encode(hashlib.sha1((key[1] if key else b"") + _GUID).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def _echo(self) -> None:
        """Frames of a client (RFC 6455 5.2): two bytes, four of the mask, and less than 126 more."""
        while len(self._held) >= 6 and len(self._held) >= 6 + (size := self._held[1] & 0x7F):
            assert size < _SMALL
            mask, masked = self._held[2:6], self._held[6 : 6 + size]
            text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
            self._transport.write(bytes((self._held[0], size)) + text)
            self._held = self._held[6 + size :]

    async def _tell(self) -> None:
        first = _EVENTS
        while True:
            self._transport.write(first + b"data: %d\n\n" % time.monotonic_ns())
            first = b""
            await asyncio.sleep(EVERY)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
