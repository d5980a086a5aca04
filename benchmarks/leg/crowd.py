"""
Many clients: tunnels set up a second, the time from ``ssh`` to the URL, and what tunnels cost that do nothing.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import time
from pathlib import Path
from typing import Any

import asyncssh

from benchmarks.leg.servers import Ours, Server, memory, ssh_words, tunnel


def raise_limits() -> None:
    """Thousands of connections need as many files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def open_tunnel(server: Server, folder: Path) -> asyncssh.SSHClientConnection:
    """One with its forwarding granted; of ours, with its URL printed."""
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
    if isinstance(server, Ours):
        await asyncio.sleep(0)
        process = await connection.create_process("", stdin=asyncssh.DEVNULL)
        async for line in process.stdout:
            if line.startswith("tcp://"):
                break
    await asked
    return connection


async def _churn(server: Server, folder: Path, seconds: float, at_once: int) -> float:
    done = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal done
        while time.perf_counter() < end:
            connection = await open_tunnel(server, folder)
            connection.close()
            await connection.wait_closed()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(at_once)))
    return done / (time.perf_counter() - began)


def churn(server: Server, folder: Path, *, seconds: float, at_once: int = 16) -> float:
    """Tunnels set up and torn down a second."""
    return asyncio.run(_churn(server, folder, seconds, at_once))


async def _idle(server: Server, folder: Path, count: int) -> float:
    first = await open_tunnel(server, folder)
    before = memory(server.pid)
    places = asyncio.Semaphore(16)

    async def one() -> asyncssh.SSHClientConnection:
        async with places:
            return await open_tunnel(server, folder)

    held = await asyncio.gather(*(one() for _ in range(count)))
    grown = memory(server.pid) - before
    for connection in (first, *held):
        connection.abort()
    return grown / count / 1000


def idle(server: Server, folder: Path, count: int) -> float:
    """KB of the server's memory for each of *count* tunnels that do nothing."""
    return asyncio.run(_idle(server, folder, count))


def to_url(server: Server, folder: Path) -> float:
    """Seconds from starting ``ssh`` until it says where visitors come."""
    began = time.perf_counter()
    with tunnel(server, folder, 9):
        return time.perf_counter() - began


def login_only(server: Server, folder: Path) -> float:
    """Seconds of the same ``ssh`` that logs in and asks for nothing."""
    began = time.perf_counter()
    subprocess.run([*ssh_words(server, folder), "true"], capture_output=True, check=False)
    return time.perf_counter() - began
