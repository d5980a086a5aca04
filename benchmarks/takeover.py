"""
A name that moves: how long from a client's TCP connect to its URL at another edge, where an older tunnel has the name.

Starts a whole service (PostgreSQL, one core, two PowerDNS behind gates, two edges) on loopback. The new client is
asyncssh in this process; the old one is there, or frozen (a real ssh that is stopped: it vanishes without a FIN), or
its edge is killed with -9.

    python -m benchmarks.takeover [--force 100] [--ghosts 20] [--killed 20]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from tests.support.deployment import Deployment
from tests.support.service import PATIENCE, Lines

NAME = "moving"


class Bench:
    def __init__(self, deployment: Deployment, token: str) -> None:
        self._deployment = deployment
        self._token = token

    async def connect(self, region: str, keywords: str = "") -> tuple[asyncssh.SSHClientConnection, float]:
        """A tunnel there, live; seconds from the TCP connect to its URL."""
        start = time.perf_counter()
        connection = await asyncssh.connect(
            self._deployment.addresses[region],
            self._deployment.public_port,
            username=self._token + keywords,
            known_hosts=None,
            client_keys=None,
            agent_path=None,
            config=None,
            server_host_key_algs=["ssh-ed25519"],
            encryption_algs=["aes128-ctr"],
        )
        listening = asyncio.ensure_future(connection.forward_remote_port("", 0, "127.0.0.1", 9))
        await asyncio.sleep(0)
        process = await connection.create_process("", stdin=asyncssh.DEVNULL)
        lines = [line async for line in until_url(process)]
        took = time.perf_counter() - start
        assert lines[-1].startswith(f"https://{NAME}."), lines
        await listening
        return connection, took

    @asynccontextmanager
    async def connected(self, region: str) -> AsyncIterator[float]:
        """Meanwhile it is live; afterwards nobody has the name."""
        connection, took = await self.connect(region)
        yield took
        connection.close()
        await connection.wait_closed()
        await asyncio.to_thread(self._deployment.until_gone, NAME)

    async def by_force(self, count: int) -> list[float]:
        """To and fro between two edges."""
        took = []
        old, _ = await self.connect("us")
        for number in range(count):
            new, seconds = await self.connect(("eu", "us")[number % 2], "+force")
            took.append(seconds)
            await old.wait_closed()
            old = new
        old.close()
        await old.wait_closed()
        await asyncio.to_thread(self._deployment.until_gone, NAME)
        return took

    async def from_ghosts(self, count: int) -> list[float]:
        took = []
        for _ in range(count):
            ghost = self._deployment.ssh("us", self._token, 9)
            await asyncio.to_thread(Lines(ghost).until, f"https://{NAME}.")
            os.kill(ghost.pid, signal.SIGSTOP)
            async with self.connected("eu") as seconds:
                took.append(seconds)
            ghost.kill()
            ghost.wait(PATIENCE)
        return took

    async def from_killed_edges(self, count: int) -> list[float]:
        edge = self._deployment.edges["us"]
        took = []
        for _ in range(count):
            old, _ = await self.connect("us")
            edge.kill()
            await old.wait_closed()
            async with self.connected("eu") as seconds:
                took.append(seconds)
            await asyncio.to_thread(edge.start)
        return took


async def until_url(process: asyncssh.SSHClientProcess[str]) -> AsyncIterator[str]:
    async for line in process.stdout:
        yield line
        if line.startswith("https://"):
            return


def show(what: str, took: list[float]) -> None:
    if took:
        values = sorted(took)
        p50, p99 = (values[min(len(values) - 1, int(part * len(values)))] * 1000 for part in (0.5, 0.99))
        print(f"{what:46} p50 {p50:7.1f} ms  p99 {p99:7.1f} ms  max {values[-1] * 1000:7.1f} ms  of {len(values)}")


async def measure(deployment: Deployment, arguments: argparse.Namespace) -> None:
    bench = Bench(deployment, deployment.new_token("mover", NAME))
    for region in ("us", "eu"):
        async with bench.connected(region):
            pass
    # The core has all its edges by now, and gives none of them more time.
    await asyncio.sleep(6)
    show("with force, both edges up", await bench.by_force(arguments.force))
    show("from a client that vanished without FIN", await bench.from_ghosts(arguments.ghosts))
    show("from an edge that was killed", await bench.from_killed_edges(arguments.killed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--force", type=int, default=100)
    parser.add_argument("--ghosts", type=int, default=20)
    parser.add_argument("--killed", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder), regions=("us", "eu"), lease=30.0, connections_per_address=20000)
        try:
            deployment.start()
            asyncio.run(measure(deployment, arguments))
        finally:
            deployment.stop()


if __name__ == "__main__":
    main()
