"""
Many clients: tunnels set up a second, the time from ``ssh`` to the URL, and what tunnels cost that do nothing.
"""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from benchmarks.leg.servers import Server, cpu_seconds, memory, tunnel

LEAVING = 3.0  # seconds for a server to notice that thousands have left
PATIENCE = 60.0  # seconds for whatever is under way when the time is over


def raise_limits() -> None:
    """Thousands of connections need as many files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def open_tunnel(server: Server, folder: Path) -> asyncssh.SSHClientConnection:
    """One with its forwarding granted; where there is a terminal, with its URL printed."""
    options: dict[str, Any] = {"client_keys": [str(folder / "client_key")]} if server.user == "root" else {}
    connection = await asyncssh.connect(
        "127.0.0.1",
        server.port,
        username=server.user,
        **{"client_keys": None, **options},
        known_hosts=None,
        agent_path=None,
        config=None,
        login_timeout=120,
        server_host_key_algs=["ssh-ed25519"],
        kex_algs=["curve25519-sha256"],
        encryption_algs=["aes128-ctr"],
    )
    asked = asyncio.ensure_future(connection.forward_remote_port("", 0, "127.0.0.1", 9))
    if server.terminal:
        await asyncio.sleep(0)
        process = await connection.create_process("", stdin=asyncssh.DEVNULL)
        async for line in process.stdout:
            if line.startswith("tcp://"):
                break
    await asked
    return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Churn:
    """Tunnels set up and torn down: *rate* a second, *cpu* milliseconds of the server's for each."""

    rate: float
    cpu: float


async def _churn(server: Server, folder: Path, seconds: float, at_once: int) -> Churn:
    done = 0
    began = time.perf_counter()
    spent = cpu_seconds(server.pid)

    async def one() -> None:
        nonlocal done
        while time.perf_counter() < began + seconds:
            connection = await open_tunnel(server, folder)
            connection.close()
            await connection.wait_closed()
            done += 1

    await asyncio.wait_for(asyncio.gather(*(one() for _ in range(at_once))), seconds + PATIENCE)
    took = time.perf_counter() - began
    return Churn(rate=done / took, cpu=(cpu_seconds(server.pid) - spent) / done * 1000)


def churn(server: Server, folder: Path, *, seconds: float, at_once: int = 16) -> Churn:
    return asyncio.run(_churn(server, folder, seconds, at_once))


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """KB for each tunnel: of the *server*'s own process and its children, and of the *database*'s."""

    server: float
    database: float


async def _idle(server: Server, folder: Path, count: int) -> Idle:
    held = [await open_tunnel(server, folder) for _ in range(20)]
    before = memory(server.pid)
    places = asyncio.Semaphore(16)

    async def one() -> None:
        async with places:
            held.append(await open_tunnel(server, folder))

    try:
        await asyncio.gather(*(one() for _ in range(count)))
        after = memory(server.pid)
    finally:
        for connection in held:
            connection.abort()
        # Their ports are another server's next.
        await asyncio.sleep(LEAVING)
    return Idle(
        server=(after.server - before.server) / count / 1000, database=(after.database - before.database) / count / 1000
    )


def idle(server: Server, folder: Path, count: int) -> Idle:
    """What *count* tunnels cost that do nothing, beyond the first few."""
    return asyncio.run(_idle(server, folder, count))


def to_url(server: Server, folder: Path) -> float:
    """Seconds from starting ``ssh`` until it says where visitors come."""
    began = time.perf_counter()
    with tunnel(server, folder, 9):
        return time.perf_counter() - began
