"""
gRPC by grpcio, visitors and local server: unary calls, and a stream of messages.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks.leg.loads import Failed
from benchmarks.web.ways import Door

AT_ONCE = 32
MESSAGES = 5000  # of one stream
PATIENCE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """*calls* and *messages* a second."""

    calls: float
    messages: float


def _channel(door: Door, ca: Path) -> grpc.aio.Channel:
    options = [("grpc.default_authority", door.authority), ("grpc.enable_http_proxy", 0)]
    if not door.secure:
        return grpc.aio.insecure_channel(f"127.0.0.1:{door.port}", options=options)
    options.append(("grpc.ssl_target_name_override", door.host))
    credentials = grpc.ssl_channel_credentials(ca.read_bytes())
    return grpc.aio.secure_channel(f"127.0.0.1:{door.port}", credentials, options=options)


async def _called(door: Door, ca: Path, seconds: float) -> Called:
    async with _channel(door, ca) as channel:
        echo, repeat = channel.unary_unary("/bench.Bench/Echo"), channel.unary_stream("/bench.Bench/Repeat")
        await asyncio.wait_for(echo(b"first"), PATIENCE)
        done = 0
        began = time.perf_counter()

        async def one() -> None:
            nonlocal done
            while time.perf_counter() < began + seconds:
                await echo(b"hello from the laptop")
                done += 1

        await asyncio.gather(*(one() for _ in range(AT_ONCE)))
        took = time.perf_counter() - began
        began = time.perf_counter()
        got = [message async for message in repeat(str(MESSAGES).encode())]
        if len(got) != MESSAGES:
            raise Failed(f"of {MESSAGES} messages of a stream {len(got)} came")
        return Called(calls=done / took, messages=MESSAGES / (time.perf_counter() - began))


def called(door: Door, ca: Path, *, seconds: float) -> Called:
    """Raises `Failed`."""
    try:
        return asyncio.run(asyncio.wait_for(_called(door, ca, seconds), seconds + PATIENCE))
    except grpc.aio.AioRpcError as error:
        raise Failed(f"{error.code().name}: {error.details()}") from None
