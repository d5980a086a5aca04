"""
The core and its database may be away: visitors of live tunnels do not notice, and all goes on when they are back.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pinggy.edge.ssh.hostkeys import ensure_host_keys, known_hosts_lines, load_host_keys
from pinggy.wire import paths
from tests.support.service import PATIENCE, Lines, Service, free_port
from tests.system.tools import LOOPBACK, Ssh, dig, eventually, local_web, ssh, tunnel, visit

LEASE = 2.0
DATABASE_AWAY = "The service cannot start new tunnels at the moment (its database does not answer): try again soon."
CORE_AWAY = "The service cannot start new tunnels at the moment (its core does not answer): try again soon."


class Part:
    """One part of the service as a process that can be stopped and started again."""

    def __init__(self, log: Path, **given: Any) -> None:
        self.log = log
        self.given = given
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Returns what it says when it is ready."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.apart", self.log.stem, json.dumps(self.given)],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return Lines(self.process).until("ready").removeprefix("ready").strip()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(PATIENCE)


class Apart(Service):
    """A service whose parts are processes of their own: for clients and visitors it is like any other."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state.mkdir()
        secrets = {"operator": "operator-" + "x" * 16, "edge": "edge-" + "x" * 16}
        core = f"http://{LOOPBACK}:{self.core_port}"
        (self.state / "operator.key").write_text(secrets["operator"])
        (self.state / "core.url").write_text(core)
        self.postgres = Part(folder / "postgres.log", folder=str(self.state / "postgres"), port=free_port())
        key = str(self.state / "grant.key")
        self.core = Part(folder / "core.log", port=self.core_port, lease=LEASE, grant_key=key, **secrets)
        self.edge = Part(
            folder / "edge.log",
            folder=str(self.state),
            core=core,
            edge=secrets["edge"],
            https=self.https_port,
            http=self.http_port,
            dns=self.dns_port,
        )

    def run(self) -> None:
        self.core.given["database"] = self.postgres.start()
        self.core.start()
        self.edge.start()
        keys = load_host_keys(ensure_host_keys(self.state / "ssh"))
        self.known_hosts.write_text(known_hosts_lines(keys, LOOPBACK, self.https_port))

    def failures(self) -> list[str]:
        logs = "".join(part.log.read_text() for part in (self.postgres, self.core, self.edge))
        return [line for line in logs.splitlines() if "Traceback" in line or "Unhandled" in line]

    def live(self) -> list[str]:
        """What the core knows to be live."""
        rows = json.loads(self.pinggy("tunnel", "list", "--json").stdout)["tunnels"]
        return [each["forwardings"][0].split()[1] for each in rows if each["live"]]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    service = Apart(tmp_path_factory.mktemp("apart"))
    try:
        service.run()
        yield service
    finally:
        for part in (service.edge, service.core, service.postgres):
            if part.process is not None and part.process.poll() is None:
                part.stop()
    assert service.failures() == []


class Visitor:
    """One visitor who stays: the connection is kept."""

    def __init__(self, service: Service, name: str) -> None:
        self._connection = http.client.HTTPConnection(LOOPBACK, service.http_port, timeout=PATIENCE)
        self._host = {"Host": f"{name}.a.localhost"}

    def is_served(self) -> bool:
        self._connection.request("GET", "/", headers=self._host)
        response = self._connection.getresponse()
        return (response.status, response.read()) == (200, b"hello from the laptop")


def refused(service: Service) -> str:
    """The last line of a tunnel that cannot start."""
    with ssh(service, f"-R0:{LOOPBACK}:9") as client:
        status, lines, _ = client.end()
    assert status == 1
    return lines[-1]


def missed(service: Apart) -> int:
    """How often the edge has said that the core has gone."""
    return service.edge.log.read_text().count("the core does not renew")


def renewals(service: Apart) -> int:
    """And how often that it is back."""
    return service.edge.log.read_text().count("the core answers again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_core_that_is_restarted_is_not_noticed_by_visitors(apart: Apart, number: signal.Signals) -> None:
    back = renewals(apart)
    with tunnel(apart) as (_, name):
        visitor = Visitor(apart, name)
        assert visitor.is_served()
        apart.core.stop(number)
        assert refused(apart) == CORE_AWAY
        eventually(lambda: missed(apart) > back, "a missed renewal")
        assert visitor.is_served()
        assert visit(apart, name)[0] == 200

        apart.core.start()
        eventually(lambda: renewals(apart) > back, "a renewal")
        assert visitor.is_served()
        with tunnel(apart) as (_, another):
            assert visit(apart, another)[0] == 200
            assert set(apart.live()) == {name, another}
    eventually(lambda: apart.live() == [], "the end of both in the ledger")


def test_a_tunnel_that_ends_while_the_core_is_away_is_swept(apart: Apart) -> None:
    back = renewals(apart)
    with tunnel(apart) as (_, name), tunnel(apart) as (_, other):
        visitor = Visitor(apart, other)
        with tunnel(apart) as (_, gone):
            apart.core.stop()
            assert visit(apart, gone)[0] == 200
        eventually(lambda: visit(apart, gone)[0] == 404, "the end of a tunnel that only the edge knows of")
        eventually(lambda: missed(apart) > back, "a missed renewal")
        apart.core.start()
        eventually(lambda: renewals(apart) > back, "a renewal")
        eventually(lambda: set(apart.live()) == {name, other}, "the sweep of the third")
        assert visitor.is_served()


def kept(service: Apart) -> int:
    """How often the edge has kept a tunnel for its client."""
    return service.edge.log.read_text().count("is kept for its client")


@contextlib.contextmanager
def resumed(apart: Apart, account: str) -> Iterator[tuple[Ssh, str, str]]:
    """The core was killed, then the ssh of *account*, and this is the next one: it, its name and its token."""
    token, before = apart.new_token(account), kept(apart)
    with local_web() as port:
        with ssh(apart, f"-R0:{LOOPBACK}:{port}", user=token) as first:
            name = first.name()
            apart.core.stop(signal.SIGKILL)
            first.process.kill()
            eventually(lambda: kept(apart) > before, "a tunnel that is kept")
        assert visit(apart, name)[0] == 404
        with ssh(apart, f"-R0:{LOOPBACK}:{port}", user=token) as second:
            assert second.name() == name
            yield second, name, token


def test_a_client_that_comes_back_while_the_core_is_away_has_its_tunnel_again(apart: Apart) -> None:
    with resumed(apart, "ann") as (client, name, _):
        assert visit(apart, name) == (200, b"hello from the laptop")
        assert dig(apart, name).startswith("local.a.localhost.")
        # Nobody else is let in by that.
        assert refused(apart) == CORE_AWAY
        back = renewals(apart)
        eventually(lambda: missed(apart) > back, "a missed renewal")
        apart.core.start()
        eventually(lambda: renewals(apart) > back, "a renewal")
        assert apart.live() == [name]
        assert client.process.poll() is None
        assert visit(apart, name)[0] == 200
    eventually(lambda: apart.live() == [], "its end in the ledger")
    eventually(lambda: dig(apart, name) == "", "its end in the zone")


def test_what_was_resumed_is_closed_where_the_ledger_has_a_newer_owner(apart: Apart, tmp_path: Path) -> None:
    with resumed(apart, "ben") as (client, name, token):
        # A core that this edge does not reach, and another edge that does.
        other = Part(tmp_path / "core.log", **{**apart.core.given, "port": free_port()})
        other.start()
        try:
            taken_at_another_edge(apart, other.given["port"], name, token)
        finally:
            other.stop()
        assert visit(apart, name)[0] == 200
        apart.core.start()
        status, lines, _ = client.end()
        assert status == 1
        assert lines[-1] in (
            "Taken over: a newer session from 192.0.2.99 has started with force.",
            "The core no longer knows this tunnel: start it again.",
        )
        assert visit(apart, name)[0] == 404
        assert apart.live() == [name]


def taken_at_another_edge(apart: Apart, core_port: int, name: str, token: str) -> None:
    """A session of the same account takes *name* by force, and is live."""

    def call(path: str, key: str, **message: Any) -> dict[str, Any]:
        connection = http.client.HTTPConnection(LOOPBACK, core_port, timeout=PATIENCE)
        connection.request("POST", path, json.dumps(message), {"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        said: dict[str, Any] = json.loads(response.read())
        connection.close()
        assert response.status == 200, said
        return said

    edge = {"name": "far", "region": "far", "addresses": ["192.0.2.99"]}
    secret = call(paths.EDGES, (apart.state / "operator.key").read_text(), **edge)["secret"]
    call(paths.REGISTER, secret, instance="far")
    granted = call(
        paths.AUTHORIZE,
        secret,
        tunnel="f" * 32,
        credential={"is": "token", "token": token},
        address="192.0.2.99",
        wants=[{"number": 1, "kind": "http", "name": name}],
        force=True,
    )
    assert granted["results"][0]["is"] == "granted"
    call(paths.LIVE, secret, tunnel="f" * 32, numbers=[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_database_that_is_restarted_is_not_noticed_by_visitors(apart: Apart, number: signal.Signals) -> None:
    cluster = apart.state / "postgres" / "cluster"
    with tunnel(apart) as (_, name):
        visitor = Visitor(apart, name)
        if number is signal.SIGKILL:
            postmaster = int((cluster / "postmaster.pid").read_text().splitlines()[0])
            os.kill(postmaster, signal.SIGKILL)
        apart.postgres.stop()
        assert refused(apart) == DATABASE_AWAY
        assert visitor.is_served()
        apart.postgres.start()
        assert visitor.is_served()
        with tunnel(apart) as (_, another):
            assert visit(apart, another)[0] == 200
            eventually(lambda: {name, another} <= set(apart.live()), "both in the ledger")
        assert visitor.is_served()
