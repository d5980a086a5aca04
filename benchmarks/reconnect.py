"""
A thousand clients lose their edge at one instant, and all come back at another one at once: how long until the last
has its URL again, and was one refused?

Starts a whole service (PostgreSQL, one core, two PowerDNS behind gates, edges us and eu) on loopback; asyncssh is the
clients, each with an account and a reserved name of its own. The edge us is killed with SIGKILL.

    python -m benchmarks.reconnect [--clients 1000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import asyncssh

from benchmarks.setup import cpu_seconds
from tests.support.deployment import OPERATOR_KEY, Deployment


class Office:
    """The operator's calls, without a process for each."""

    def __init__(self, deployment: Deployment) -> None:
        self._url = f"http://127.0.0.1:{deployment.core_port}/v1"

    def add(self, path: str, **message: Any) -> Any:
        request = urllib.request.Request(
            f"{self._url}/{path}",
            data=json.dumps(message).encode(),
            headers={"Authorization": f"Bearer {OPERATOR_KEY}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def token(self, account: str, name: str) -> str:
        self.add("accounts", name=account)
        self.add("names", account=account, name=name)
        token: str = self.add("tokens", account=account)["token"]
        return token


class Client:
    """One ssh client: *url* is when it last got its URL; *refused* what it was told instead."""

    def __init__(self, token: str, name: str) -> None:
        self._token = token
        self._name = name
        self.refused: list[str] = []
        self.url = 0.0
        self.connection: asyncssh.SSHClientConnection | None = None

    async def connect(self, host: str, port: int) -> None:
        """Until it has its URL; asks again after a second where it is refused, as ssh in a loop does."""
        while True:
            try:
                if await self._try(host, port):
                    self.url = time.perf_counter()
                    return
            except (OSError, asyncssh.Error) as error:
                self.refused.append(str(error))
            await asyncio.sleep(1)

    async def _try(self, host: str, port: int) -> bool:
        self.connection = await asyncssh.connect(
            host,
            port,
            username=self._token,
            known_hosts=None,
            client_keys=None,
            agent_path=None,
            config=None,
            login_timeout=60,
            server_host_key_algs=["ssh-ed25519"],
            encryption_algs=["aes128-ctr"],
        )
        listening = asyncio.ensure_future(self.connection.forward_remote_port("", 0, "127.0.0.1", 9))
        await asyncio.sleep(0)
        process = await self.connection.create_process("", stdin=asyncssh.DEVNULL)
        said = []
        async for line in process.stdout:
            said.append(line.strip())
            if line.startswith(f"https://{self._name}."):
                await listening
                return True
        self.refused += said[-1:]
        listening.cancel()
        return False


async def measure(deployment: Deployment, count: int) -> None:
    office = Office(deployment)
    clients = [Client(office.token(f"c{number}", f"name-{number}"), f"name-{number}") for number in range(count)]
    places = asyncio.Semaphore(16)

    async def first(client: Client) -> None:
        async with places:
            await client.connect(deployment.addresses["us"], deployment.public_port)

    await asyncio.gather(*map(first, clients))
    assert not any(client.refused for client in clients), [client.refused for client in clients if client.refused][:5]
    deployment.edges["us"].kill()
    before = cpu_seconds(deployment, without="edge-us")
    started = time.perf_counter()
    await asyncio.gather(*(client.connect(deployment.addresses["eu"], deployment.public_port) for client in clients))
    took = sorted(client.url - started for client in clients)
    refused = [text for client in clients for text in client.refused]
    print(f"{count} clients lost their edge and came back at another, all at once:")
    print(
        f"  URL again after   p50 {took[count // 2]:.1f} s, p99 {took[count * 99 // 100]:.1f} s, last {took[-1]:.1f} s"
    )
    print(f"  refused           {len(refused)} times {sorted(set(refused))[:5] if refused else ''}")
    for name, seconds in cpu_seconds(deployment, without="edge-us").items():
        print(f"  CPU of {name:10} {(seconds - before[name]):6.1f} s")
    for client in clients:
        if client.connection is not None:
            client.connection.abort()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(Path(folder), regions=("us", "eu"), lease=30.0, connections_per_address=20000)
        try:
            deployment.start()
            asyncio.run(measure(deployment, arguments.clients))
        finally:
            deployment.stop()


if __name__ == "__main__":
    main()
