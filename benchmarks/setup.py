"""
Setting tunnels up: how long from ssh's TCP connect to the URL, where that time goes, and how many a second.

Starts a whole service (PostgreSQL, one core, two PowerDNS behind gates, one edge) on loopback; asyncssh is the client.

    python -m benchmarks.setup [--live 1000] [--alone 100] [--seconds 20] [--at-once 16]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import tempfile
import time
from pathlib import Path

import asyncssh

from tests.support.deployment import Deployment

STEP = re.compile(r"(authorize|publish|probe|live) ([0-9.]+)")


class Bench:
    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def connect(self) -> asyncssh.SSHClientConnection:
        return await asyncssh.connect(
            self._deployment.addresses["us"],
            self._deployment.public_port,
            username="bench",
            known_hosts=None,
            client_keys=None,
            agent_path=None,
            config=None,
            # What OpenSSH chooses, too.
            server_host_key_algs=["ssh-ed25519"],
            encryption_algs=["aes128-ctr"],
        )

    async def tunnel(self) -> tuple[asyncssh.SSHClientConnection, dict[str, float]]:
        """One tunnel, live; seconds of each part as the client sees it."""
        start = time.perf_counter()
        connection = await self.connect()
        logged_in = time.perf_counter()
        # As OpenSSH does: the session is opened without awaiting the reply to the forwarding.
        listening = asyncio.ensure_future(connection.forward_remote_port("", 0, "127.0.0.1", 9))
        await asyncio.sleep(0)
        process = await connection.create_process("", stdin=asyncssh.DEVNULL)
        async for line in process.stdout:
            if line.startswith("https://"):
                break
        url = time.perf_counter()
        await listening
        return connection, {"login": logged_in - start, "url": url - start}

    async def hold(self, count: int) -> list[asyncssh.SSHClientConnection]:
        """*count* tunnels that stay."""
        held: list[asyncssh.SSHClientConnection] = []
        gate = asyncio.Semaphore(16)

        async def one() -> None:
            async with gate:
                held.append((await self.tunnel())[0])

        await asyncio.gather(*(one() for _ in range(count)))
        return held

    async def alone(self, count: int) -> list[dict[str, float]]:
        """One after the other."""
        took = []
        for _ in range(count):
            connection, parts = await self.tunnel()
            took.append(parts)
            connection.close()
            await connection.wait_closed()
        return took

    async def churn(self, seconds: float, at_once: int) -> float:
        """Tunnels set up and torn down a second."""
        done = 0
        end = time.perf_counter() + seconds

        async def one() -> None:
            nonlocal done
            while time.perf_counter() < end:
                connection, _ = await self.tunnel()
                connection.close()
                await connection.wait_closed()
                done += 1

        start = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(at_once)))
        return done / (time.perf_counter() - start)


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))] * 1000


def show(name: str, values: list[float]) -> None:
    print(f"{name:34} p50 {quantile(values, 0.5):8.1f} ms   p99 {quantile(values, 0.99):8.1f} ms")


def cpu_seconds(deployment: Deployment, without: str = "") -> dict[str, float]:
    """CPU time of each daemon so far, and of this client; *without* one that does not run."""
    ticks = os.sysconf("SC_CLK_TCK")
    spent = {"client": time.process_time()}
    for daemon in deployment.daemons():
        if daemon.name == without:
            continue
        assert daemon.process is not None
        fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
        spent[daemon.name] = (int(fields[11]) + int(fields[12])) / ticks
    return spent


async def measure(deployment: Deployment, arguments: argparse.Namespace) -> None:
    bench = Bench(deployment)
    await bench.alone(5)
    held = await bench.hold(arguments.live)
    edge = deployment.edges["us"]
    assert edge.lines is not None
    edge.drain()
    before = len(edge.lines.seen)
    took = await bench.alone(arguments.alone)
    edge.drain()
    print(f"{arguments.live} tunnels are live; one at a time:")
    show("TCP connect to URL", [each["url"] for each in took])
    show("  of it TCP, key exchange, login", [each["login"] for each in took])
    show("  of it from login to URL", [each["url"] - each["login"] for each in took])
    steps: dict[str, list[float]] = {}
    for line in edge.lines.seen[before:]:
        if " is live: " in line:
            for name, milliseconds in STEP.findall(line.rpartition("(")[2]):
                steps.setdefault(name, []).append(float(milliseconds) / 1000)
    for name, values in steps.items():
        show(f"    the edge's chain: {name}", values)
    spent = cpu_seconds(deployment)
    rates = [await bench.churn(arguments.seconds / 3, arguments.at_once) for _ in range(3)]
    print(f"{arguments.at_once} at a time: {statistics.median(rates):.0f} set up and torn down a second")
    done = statistics.mean(rates) * arguments.seconds
    for name, seconds in cpu_seconds(deployment).items():
        print(f"  CPU of {name:10} {(seconds - spent[name]) / done * 1000:6.1f} ms a tunnel")
    for connection in held:
        connection.abort()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", type=int, default=1000)
    parser.add_argument("--alone", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--at-once", type=int, default=16)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder), regions=("us",), lease=30.0, connections_per_address=20000)
        try:
            deployment.start()
            asyncio.run(measure(deployment, arguments))
        finally:
            deployment.stop()


if __name__ == "__main__":
    main()
