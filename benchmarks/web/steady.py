"""
So many requests a second, by all ways at once: what one of them takes where nothing is busy.

The ways take turns within each hundredth of a second, so that what else the machine does meets them all.
"""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.leg.loads import Failed
from benchmarks.web.requests import at
from benchmarks.web.ways import Door

PATIENCE = 5.0  # seconds for the last answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Milliseconds."""

    p50: float
    p99: float


class _Visitor(asyncio.Protocol):
    """A keep-alive connection that asks one thing at a time, and says how long it took."""

    def __init__(self, took: list[float]) -> None:
        self._took = took
        self._asked = 0.0
        self._came = b""
        self.is_busy = False
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> None:
        self.is_busy = True
        self._asked = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._came += data
        if self._came.endswith(b"laptop"):
            self._took.append((time.perf_counter() - self._asked) * 1000)
            if not self._came.startswith(b"HTTP/1.1 200"):
                self.is_lost = True
            self._came = b""
            self.is_busy = False

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True

    def close(self) -> None:
        self._transport.abort()


class _Asker:
    """Asks by one way; a connection is opened where all others are busy."""

    def __init__(self, door: Door, context: ssl.SSLContext) -> None:
        self._door = door
        self._context = context if door.secure else None
        self._request = f"GET / HTTP/1.1\r\nHost: {door.authority}\r\n\r\n".encode()
        self._visitors: list[_Visitor] = []
        self.took: list[float] = []

    async def ask(self) -> None:
        visitor = next((each for each in self._visitors if not each.is_busy), None)
        if visitor is None:
            visitor = await self._connect()
        visitor.ask(self._request)

    async def _connect(self) -> _Visitor:
        visitor = _Visitor(self.took)
        name = self._door.host if self._context else None
        await asyncio.get_running_loop().create_connection(
            lambda: visitor, "127.0.0.1", self._door.port, ssl=self._context, server_hostname=name
        )
        self._visitors.append(visitor)
        return visitor

    async def finish(self) -> Took:
        """Raises `Failed`."""
        until = time.monotonic() + PATIENCE
        while any(each.is_busy for each in self._visitors) and time.monotonic() < until:
            await asyncio.sleep(0.01)
        lost = any(each.is_lost or each.is_busy for each in self._visitors)
        for each in self._visitors:
            each.close()
        if lost or not self.took:
            raise Failed("a request was not answered, or not by 200")
        ordered = sorted(self.took)
        return Took(p50=at(ordered, 0.5), p99=at(ordered, 0.99))


async def _steady(doors: Sequence[Door], rate: float, seconds: float, context: ssl.SSLContext) -> list[Took]:
    askers = [_Asker(door, context) for door in doors]
    for asker in askers:
        # The first one pays for the connection.
        await asker.ask()
    await asyncio.sleep(0.2)
    for asker in askers:
        asker.took.clear()
    asking: set[asyncio.Task[None]] = set()
    began = time.perf_counter()
    for turn in range(round(rate * seconds) * len(askers)):
        due = began + turn / rate / len(askers)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.ensure_future(askers[turn % len(askers)].ask())
        asking.add(task)
        task.add_done_callback(asking.discard)
    if asking:
        await asyncio.wait(asking, timeout=PATIENCE)
    return [await asker.finish() for asker in askers]


def steady(doors: Sequence[Door], ca: Path, *, rate: float, seconds: float) -> list[Took]:
    """*rate* requests a second by each of the *doors*. Raises `Failed`."""
    gc.collect()
    gc.disable()
    try:
        return asyncio.run(_steady(doors, rate, seconds, trusting(ca)))
    finally:
        gc.enable()


def trusting(ca: Path) -> ssl.SSLContext:
    """Visitors who believe *ca*, where there is one."""
    return ssl.create_default_context(cafile=str(ca) if ca.exists() else None)
