"""
Connections that stay: open websockets and what they cost, event streams and when their bytes come.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

from benchmarks.leg.loads import Failed
from benchmarks.leg.servers import memory
from benchmarks.web.requests import at
from benchmarks.web.steady import trusting
from benchmarks.web.ways import Door

PATIENCE = 20.0
FEW = 20  # of those that are not counted: what is made once is there then
_FRAME = b"\x81\x82\x00\x00\x00\x00hi"  # a text frame of a client, masked with zeros (RFC 6455 5.2)
_BACK = b"\x81\x02hi"


async def _connect(door: Door, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = door.host if door.secure else None
    return await asyncio.open_connection(
        "127.0.0.1", door.port, ssl=context if door.secure else None, server_hostname=name
    )


async def _open_socket(door: Door, context: ssl.SSLContext) -> asyncio.StreamWriter:
    """A websocket over which a word has gone there and back."""
    reader, writer = await _connect(door, context)
    writer.write(
        f"GET /echo HTTP/1.1\r\nHost: {door.authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise Failed(f"asked for a websocket it says: {head.partition(bytes((13,)))[0].decode('ascii', 'replace')}")
    writer.write(_FRAME)
    if await reader.readexactly(len(_BACK)) != _BACK:
        raise Failed("a websocket did not give back what it got")
    return writer


async def _sockets(door: Door, count: int, context: ssl.SSLContext) -> float:
    assert door.pid is not None
    held = [await _open_socket(door, context) for _ in range(FEW)]
    before = memory(door.pid).server
    places = asyncio.Semaphore(16)

    async def one() -> None:
        async with places:
            held.append(await asyncio.wait_for(_open_socket(door, context), PATIENCE))

    try:
        await asyncio.gather(*(one() for _ in range(count)))
        return (memory(door.pid).server - before) / count / 1000
    finally:
        for writer in held:
            writer.transport.abort()


def sockets(door: Door, ca: Path, count: int) -> float:
    """KB of the server's for each of *count* websockets that are open and still. Raises `Failed`."""
    return asyncio.run(_sockets(door, count, trusting(ca)))


async def _events(door: Door, streams: int, each: int, context: ssl.SSLContext) -> tuple[list[float], list[float]]:
    first: list[float] = []
    later: list[float] = []
    for _ in range(streams):
        reader, writer = await _connect(door, context)
        writer.write(f"GET /events HTTP/1.1\r\nHost: {door.authority}\r\n\r\n".encode())
        for number in range(each):
            await reader.readuntil(b"data: ")
            came = time.monotonic_ns()
            line = await reader.readuntil(b"\n")
            (later if number else first).append((came - int(line)) / 1e6)
        writer.transport.abort()
    return sorted(first), sorted(later)


def events(door: Door, ca: Path, *, streams: int, each: int) -> tuple[float, float]:
    """
    Milliseconds from the local server's writing to the visitor's reading: of the first byte of a stream (the median of
    so many *streams*), and of later events (of 99 in 100; there are *each* in a stream).
    """
    first, later = asyncio.run(asyncio.wait_for(_events(door, streams, each, trusting(ca)), PATIENCE * 2))
    return at(first, 0.5), at(later, 0.99)
