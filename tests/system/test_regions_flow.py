"""The service of the seed, with real programs: one core, two PowerDNS behind gates, edges in three regions."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pinggy.settings import Secret
from tests.metrics.expositions import parsed
from tests.support.deployment import DOMAIN, Deployment
from tests.support.local_servers import BLOCK, WebServer, blocks, read_until, shut, tcp_server
from tests.support.postgres import execute
from tests.support.powerdns import rrset
from tests.support.service import PATIENCE, Lines, free_port


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    # The core's own look at the zone must not mend what a test falsifies before the operator finds it.
    made = Deployment(
        tmp_path_factory.mktemp("deployment"), zone_interval=3600.0, ttl=5, drains={"us": 2.0}, report_interval=2.0
    )
    try:
        made.start()
        yield made
        assert made.failures() == []
    finally:
        made.stop()


def test_each_region_has_the_addresses_of_its_edges_on_every_server(deployment: Deployment) -> None:
    for region, address in deployment.addresses.items():
        assert deployment.dig(region, "A") == [address, address]


def test_the_eight_steps(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("walker", "walk")
    ssh = deployment.ssh("ap", token, web.port)
    lines = Lines(ssh)
    # At the moment the URL is printed, both servers answer.
    url = lines.until("http://walk.")
    assert deployment.dig("walk") == [f"ap.{DOMAIN}.", f"ap.{DOMAIN}."]
    assert url == f"http://walk.{DOMAIN}:{deployment.public_port}"
    assert '"method": "GET"' in deployment.visit("ap", "walk")
    rows = deployment.pinggy("tunnel", "list").stdout
    assert "http walk" in rows
    ssh.terminate()
    ssh.wait(PATIENCE)
    deployment.edges["ap"].until("has ended: client-left")
    deployment.until_gone("walk")
    assert "http walk" not in deployment.pinggy("tunnel", "list").stdout


def test_every_daemon_shows_what_it_has_done(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("watcher", "watched")
    ssh = deployment.ssh("eu", token, web.port)
    Lines(ssh).until("http://watched.")
    deployment.visit("eu", "watched")
    edge, core, gate = (parsed(deployment.metrics(name)) for name in ("edge-eu", "core", "gate1"))
    assert edge.value("pinggy_edge_tunnels") == 1
    assert edge.value("pinggy_edge_bytes_total", direction="from_client") > 100
    assert edge.value("pinggy_edge_visitors_total") >= 1
    assert edge.value("pinggy_edge_setup_seconds_count", step="all") >= 1
    servers = {sample.labels["server"] for sample in edge.families["pinggy_edge_dns_server_up"].samples}
    assert servers == {f"127.0.0.1:{port}" for port in deployment.gate_ports}
    for server in servers:
        assert edge.value("pinggy_edge_dns_publish_seconds_count", server=server) >= 1
        assert edge.value("pinggy_edge_dns_probe_seconds_count", server=server) >= 1
        assert core.value("pinggy_core_dns_server_up", server=server) == 1
    assert core.value("pinggy_core_tunnels_live", edge="eu") == 1
    assert 1 <= core.value("pinggy_core_polls_waiting") <= 3
    assert gate.value("pinggy_gate_changes_passed_total") >= 1
    ssh.terminate()
    ssh.wait(PATIENCE)
    deployment.edges["eu"].until("has ended: client-left")


def test_force_at_another_edge_moves_the_record_and_tells_the_old_terminal(
    deployment: Deployment, web: WebServer
) -> None:
    token = deployment.new_token("mover", "move")
    old = deployment.ssh("us", token, web.port)
    old_lines = Lines(old)
    old_lines.until("http://move.")
    assert deployment.dig("move") == [f"us.{DOMAIN}.", f"us.{DOMAIN}."]

    busy = deployment.ssh("eu", token, web.port)
    assert "is already active" in "".join(Lines(busy).rest())
    assert busy.wait(PATIENCE) == 1

    new = deployment.ssh("eu", f"{token}+force", web.port)
    Lines(new).until("http://move.")
    assert deployment.dig("move") == [f"eu.{DOMAIN}.", f"eu.{DOMAIN}."]
    assert old_lines.rest()[-1] == "Taken over: a newer session from 127.0.0.1 has started with force."
    assert old.wait(PATIENCE) == 1
    # The old edge has released and withdrawn by now: late, and of a lower epoch.
    deployment.edges["us"].until("has ended: taken-over")
    assert '"method": "GET"' in deployment.visit("eu", "move")
    assert deployment.dig("move") == [f"eu.{DOMAIN}.", f"eu.{DOMAIN}."]
    new.terminate()
    new.wait(PATIENCE)
    deployment.until_gone("move")


def test_a_client_that_is_frozen_loses_its_name_to_a_claim_at_another_edge(
    deployment: Deployment, web: WebServer
) -> None:
    token = deployment.new_token("freezer", "frozen")
    ghost = deployment.ssh("us", token, web.port)
    Lines(ghost).until("http://frozen.")
    ghost.send_signal(signal.SIGSTOP)
    new = deployment.ssh("eu", token, web.port)
    Lines(new).until("http://frozen.")
    assert deployment.dig("frozen") == [f"eu.{DOMAIN}.", f"eu.{DOMAIN}."]
    deployment.edges["us"].until("has ended: client-silent")
    assert '"method": "GET"' in deployment.visit("eu", "frozen")
    ghost.send_signal(signal.SIGCONT)
    assert ghost.wait(PATIENCE) != 0
    new.terminate()
    new.wait(PATIENCE)
    deployment.until_gone("frozen")


def test_a_download_goes_on_through_a_takeover_at_another_edge(deployment: Deployment) -> None:
    body = b"".join(blocks(4 * BLOCK))
    go_on = threading.Event()

    def serve(visitor: socket.socket) -> None:
        read_until(visitor, b"\r\n\r\n")
        visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: 2 * BLOCK])
        assert go_on.wait(PATIENCE)
        visitor.sendall(body[2 * BLOCK :])
        shut(visitor)

    with tcp_server(serve) as port:
        token = deployment.new_token("loader", "load")
        old = deployment.ssh("us", token, port)
        old_lines = Lines(old)
        old_lines.until("http://load.")
        connection = http.client.HTTPConnection(deployment.addresses["us"], deployment.public_port, timeout=PATIENCE)
        connection.request("GET", "/", headers={"Host": f"load.{DOMAIN}"})
        response = connection.getresponse()
        received = response.read(BLOCK)

        new = deployment.ssh("eu", f"{token}+force", port)
        Lines(new).until("http://load.")
        assert old_lines.until("Taken over") == "Taken over: a newer session from 127.0.0.1 has started with force."
        # The old terminal knows, the name leads elsewhere, and the visitor is served still.
        assert deployment.dig("load") == [f"eu.{DOMAIN}.", f"eu.{DOMAIN}."]
        assert old.poll() is None
        go_on.set()
        assert received + response.read() == body
        connection.close()
        assert old_lines.rest() == []
        assert old.wait(PATIENCE) != 0
        new.terminate()
        new.wait(PATIENCE)
        deployment.until_gone("load")


def test_what_an_old_owner_does_late_changes_nothing(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("sleeper", "sleep")
    old = deployment.ssh("us", token, web.port)
    Lines(old).until("http://sleep.")
    # The old edge stands still while its name is taken over; its release and its DNS delete come when it wakes.
    deployment.edges["us"].freeze()
    new = deployment.ssh("ap", f"{token}+force", web.port)
    Lines(new).until("http://sleep.")
    assert deployment.dig("sleep") == [f"ap.{DOMAIN}.", f"ap.{DOMAIN}."]
    deployment.edges["us"].thaw()
    deployment.edges["us"].until("has ended:")
    old.wait(PATIENCE)
    assert deployment.dig("sleep") == [f"ap.{DOMAIN}.", f"ap.{DOMAIN}."]
    assert '"method": "GET"' in deployment.visit("ap", "sleep")
    assert deployment.pinggy("zone", "check").returncode == 0
    new.terminate()
    new.wait(PATIENCE)
    deployment.until_gone("sleep")


def test_the_operator_closes_a_tunnel_at_once(deployment: Deployment, web: WebServer) -> None:
    ssh = deployment.ssh("eu", "guest", web.port)
    lines = Lines(ssh)
    lines.until("https://")
    (row,) = [row for row in deployment.pinggy("tunnel", "list").stdout.splitlines() if " eu " in row]
    deployment.pinggy("tunnel", "close", row.split()[0])
    assert lines.rest()[-1] == "The operator has closed this tunnel."
    assert ssh.wait(PATIENCE) == 1


def test_a_falsified_record_is_found_named_and_mended(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("honest", "truth")
    ssh = deployment.ssh("ap", token, web.port)
    Lines(ssh).until("http://truth.")

    def falsify() -> None:
        names = (f"truth.{DOMAIN}.", f"stray.{DOMAIN}.")
        deployment.servers[1].write([rrset(each, "CNAME", f"us.{DOMAIN}.") for each in names])

    # A grant that is seconds old is left to its edge: then both are found and named.
    found = deployment.differences(f"truth.{DOMAIN}", f"stray.{DOMAIN}", falsify=falsify)
    assert f"CNAME us.{DOMAIN}" in found
    deployment.pinggy("zone", "check", "--mend")
    assert deployment.dig("truth") == [f"ap.{DOMAIN}.", f"ap.{DOMAIN}."]
    assert deployment.dig("stray") == ["", ""]
    assert deployment.pinggy("zone", "check").returncode == 0
    ssh.terminate()
    ssh.wait(PATIENCE)
    deployment.until_gone("truth")


def test_where_ledger_and_edge_differ_it_is_said_mended_and_shown(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("keeper", "kept", "taken")
    database = Secret(deployment.database)
    kept, taken = (deployment.ssh("eu", token, web.port, named=name) for name in ("kept", "taken"))
    Lines(kept).until("http://kept.")
    terminal = Lines(taken)
    terminal.until("http://taken.")

    # The ledger loses a name that its edge serves.
    execute(database, "DELETE FROM forwardings WHERE name = 'taken'")
    assert "it serves taken by epoch" in deployment.cores[0].until("edge eu and the ledger differ")
    assert terminal.rest()[-1] == "The core no longer knows this tunnel: start it again."
    assert taken.wait(PATIENCE) == 1
    deployment.until_gone("taken")

    # It has one that nobody serves, which stands in the zone too.
    def falsify() -> None:
        execute(
            database,
            "INSERT INTO forwardings (tunnel, number, kind, name, epoch, named, live, started)"
            " SELECT tunnel, 99, kind, 'phantom', nextval('epoch'), true, true, now() - interval '1 minute'"
            " FROM forwardings WHERE name = 'kept'",
        )
        for server in deployment.servers:
            server.write([rrset(f"phantom.{DOMAIN}.", "CNAME", f"eu.{DOMAIN}.")])

    # Until the next report the operator is shown it: he must only be quick enough.
    shown = ""
    bound = time.monotonic() + 3 * PATIENCE
    while "it does not serve phantom" not in shown:
        assert time.monotonic() < bound, shown
        falsify()
        deployment.cores[0].until("edge eu and the ledger differ")
        shown = " ".join(deployment.pinggy("doctor", check=False).stdout.split())
    deployment.until_gone("phantom")
    assert '"method": "GET"' in deployment.visit("eu", "kept")
    assert deployment.dig("kept") == [f"eu.{DOMAIN}.", f"eu.{DOMAIN}."]
    kept.terminate()
    kept.wait(PATIENCE)
    deployment.until_gone("kept")


def test_the_doctor_tells_a_tunnel_that_serves_from_one_that_does_not(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("patient", "ward", "down")
    ssh = deployment.ssh("ap", token, web.port)
    Lines(ssh).until("http://")
    down = deployment.ssh("us", token, free_port(), named="down")
    Lines(down).until("http://down.")
    seen = web.seen.qsize()

    well = deployment.pinggy("doctor", "ward", "--port", str(deployment.public_port))
    said = " ".join(well.stdout.split())
    assert said.count(f"answers that it leads to ap.{DOMAIN}.") == 2
    assert "Its client answered a ping" in said
    assert "The client's ssh connected to the local server." in said
    assert f"A connection to {deployment.addresses['ap']}:{deployment.public_port} was taken." in said
    # The local server has seen a connection, and nothing to be answered.
    assert web.seen.qsize() == seen

    found = deployment.pinggy("doctor", f"down.{DOMAIN}", check=False)
    assert (found.returncode, found.stderr) == (1, "pinggy: One thing is wrong.\n")
    assert "WRONG  The client's ssh could not connect to the local server." in found.stdout

    ssh.send_signal(signal.SIGSTOP)
    found = deployment.pinggy("doctor", "ward", check=False)
    ssh.send_signal(signal.SIGCONT)
    assert found.returncode == 1
    assert "WRONG  Its client does not answer" in found.stdout

    # Two servers of the zone: one of them lists another record.
    def falsify() -> None:
        deployment.servers[1].write([rrset(f"ward.{DOMAIN}.", "CNAME", f"us.{DOMAIN}.")])

    # The core may take a server for one that was away, and mend it before the operator looks: then once more.
    one = whole = ""
    bound = time.monotonic() + PATIENCE
    while f"answered us.{DOMAIN}. instead of" not in one or f"ward.{DOMAIN} has CNAME us.{DOMAIN}" not in whole:
        assert time.monotonic() < bound, one + whole
        falsify()
        one, whole = (
            " ".join(deployment.pinggy("doctor", *words, check=False).stdout.split()) for words in (["ward"], [])
        )
    deployment.pinggy("zone", "check", "--mend")
    for each in (ssh, down):
        each.terminate()
        each.wait(PATIENCE)
    deployment.until_gone("ward")
    assert deployment.pinggy("doctor", "ward", check=False).stderr.startswith("pinggy: No live tunnel is called ward")


class Visits:
    """One visitor after another at the old edge, each on a connection of his own, and one who keeps his."""

    def __init__(self, address: str, port: int, host: str) -> None:
        self._address, self._port, self._host = address, port, host
        self.failed: list[str] = []
        self.over = threading.Event()
        self._counted = threading.Condition()
        self._served = 0

    def go_on(self, count: int) -> None:
        """Wait until *count* more have been served, or one has not."""
        with self._counted:
            upto = self._served + count
            assert self._counted.wait_for(lambda: self._served >= upto or self.failed, PATIENCE)

    def visit(self, keep: bool) -> None:
        connection = http.client.HTTPConnection(self._address, self._port, timeout=PATIENCE)
        while not self.over.is_set():
            try:
                # Asked to close, this one connects anew by itself.
                connection.request("GET", "/", headers={"Host": self._host})
                response = connection.getresponse()
                fine = response.status == 200 and b'"method": "GET"' in response.read()
                why = "" if fine else f"{response.status}"
            except (OSError, http.client.HTTPException) as error:
                why = repr(error)
            if not keep:
                connection.close()
            with self._counted:
                self._served += not why
                self.failed += [why] if why else []
                self._counted.notify_all()
        connection.close()


@contextmanager
def steady_visits(deployment: Deployment, region: str, name: str) -> Iterator[Visits]:
    visits = Visits(deployment.addresses[region], deployment.public_port, f"{name}.{DOMAIN}")
    threads = [threading.Thread(target=visits.visit, args=(keep,)) for keep in (False, True)]
    for each in threads:
        each.start()
    try:
        yield visits
    finally:
        visits.over.set()
        for each in threads:
            each.join()


SORRY = "This edge is being taken out of service: connect again, another one answers."


def test_an_edge_that_is_asked_to_stop_sends_its_clients_away_and_ends(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("driver", "drive")
    edge = deployment.edges["us"]
    guest, client = deployment.ssh("us", "guest", web.port), deployment.ssh("us", token, web.port)
    lines = Lines(client)
    lines.until("http://drive.")
    Lines(guest).until("https://")
    with steady_visits(deployment, "us", "drive") as visits:
        visits.go_on(10)
        edge.ask_to_stop()
        lines.until("out of service: your tunnel is closed within 2 seconds")
        # A client in a loop: the next edge has it.
        assert lines.rest()[-1] == SORRY
        new = deployment.ssh("eu", token, web.port)
        Lines(new).until("http://drive.")
        # Visitors are sent on.
        visits.go_on(20)
    assert visits.failed == []
    assert client.wait(PATIENCE) == 1
    assert '"method": "GET"' in deployment.visit("eu", "drive")
    # Here a client is refused by a sentence.
    refused = deployment.ssh("us", token, web.port)
    assert SORRY in "".join(Lines(refused).rest())
    assert refused.wait(PATIENCE) == 255
    row = next(row for row in deployment.pinggy("edge", "list").stdout.splitlines() if row.startswith("us "))
    assert "draining" in row.split()

    assert edge.process is not None
    assert edge.process.wait(PATIENCE) == 0
    assert guest.wait(PATIENCE) == 1
    assert deployment.dig("drive") == [f"eu.{DOMAIN}.", f"eu.{DOMAIN}."]
    edge.start()
    row = next(row for row in deployment.pinggy("edge", "list").stdout.splitlines() if row.startswith("us "))
    assert "serving" in row.split()
    new.terminate()
    new.wait(PATIENCE)
    deployment.until_gone("drive")


def test_who_asks_twice_does_not_wait(deployment: Deployment, web: WebServer) -> None:
    edge = deployment.edges["ap"]
    clients = [deployment.ssh("ap", "guest", web.port) for _ in range(2)]
    lines = [Lines(each) for each in clients]
    for each in lines:
        each.until("https://")
    edge.ask_to_stop()
    for each in lines:
        each.until("within 30 seconds")
    edge.ask_to_stop()
    assert edge.process is not None
    assert edge.process.wait(PATIENCE) == 0
    assert sorted(each.rest()[-1] for each in lines) == [SORRY, "This edge is stopping: start the tunnel again."]
    assert [each.wait(PATIENCE) for each in clients] == [1, 1]
    edge.start()
