"""Parts of a real deployment die and come back: each says so in its log, and ledger and zone agree again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.deployment import DOMAIN, Deployment
from tests.support.local_servers import WebServer
from tests.support.service import PATIENCE, Lines

LEASE = 3.0


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("faults"), regions=("us", "eu"), lease=LEASE)
    try:
        made.start()
        yield made
        assert made.failures() == []
    finally:
        made.stop()


def agree(deployment: Deployment) -> None:
    """Wait until every server holds what the ledger says."""
    bound = time.monotonic() + PATIENCE
    while (checked := deployment.pinggy("zone", "check", check=False)).returncode != 0:
        assert time.monotonic() < bound, checked.stdout + checked.stderr


def warmed_up(deployment: Deployment, region: str, token: str, port: int, name: str) -> None:
    """A tunnel comes and goes: the edge of *region* knows by now that the zone's servers are back."""
    ssh = deployment.ssh_until_live(region, token, port, f"http://{name}.")
    ssh.terminate()
    ssh.wait(PATIENCE)
    deployment.until_gone(name)


def test_a_server_that_is_down_is_left_out_and_repaired_when_it_is_back(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("first", "stays", "goes")
    going = deployment.ssh("us", token, web.port, named="goes")
    Lines(going).until("http://goes.")
    deployment.servers[0].kill()
    staying = deployment.ssh("us", token, web.port, named="stays")
    Lines(staying).until("http://stays.")
    deployment.edges["us"].until("is down")
    going.terminate()
    going.wait(PATIENCE)
    deployment.servers[0].start()
    deployment.until_gone("goes")
    deployment.until_stands("stays", f"us.{DOMAIN}.")
    agree(deployment)
    staying.terminate()
    staying.wait(PATIENCE)
    deployment.until_gone("stays")


def test_without_any_server_a_tunnel_is_refused_and_its_grant_given_back(
    deployment: Deployment, web: WebServer
) -> None:
    token = deployment.new_token("second", "nowhere")
    for server in deployment.servers:
        server.kill()
    refused = deployment.ssh("us", token, web.port)
    assert Lines(refused).rest()[-1] == "The name could not be published in DNS: try again soon."
    assert refused.wait(PATIENCE) == 1
    for server in deployment.servers:
        server.start()
    agree(deployment)
    again = deployment.ssh_until_live("eu", token, web.port, "http://nowhere.")
    again.terminate()
    again.wait(PATIENCE)
    deployment.until_gone("nowhere")


def test_an_edge_that_is_killed_loses_its_names_with_its_lease(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("third", "orphan", "claimed")
    ssh, other = (deployment.ssh("eu", token, web.port, named=name) for name in ("orphan", "claimed"))
    Lines(ssh).until("http://orphan.")
    Lines(other).until("http://claimed.")
    deployment.edges["eu"].kill()
    ssh.wait(PATIENCE)
    other.wait(PATIENCE)
    # Its own account does not wait for the lease.
    claimant = deployment.ssh("us", token, web.port, named="claimed")
    Lines(claimant).until("http://claimed.")
    assert "http orphan" in deployment.pinggy("tunnel", "list").stdout
    assert "edge-cut-off" in deployment.pinggy("tunnel", "list", "--history").stdout
    # A server that has just come back may have been left out until its edge has looked at it once more.
    deployment.until_stands("claimed", f"us.{DOMAIN}.")
    claimant.terminate()
    claimant.wait(PATIENCE)
    deployment.until_gone("orphan")
    assert "orphan" not in deployment.pinggy("tunnel", "list").stdout
    assert "lease-lost" in deployment.pinggy("tunnel", "list", "--history").stdout
    agree(deployment)
    deployment.edges["eu"].start()
    again = deployment.ssh("eu", token, web.port)
    Lines(again).until("http://orphan.")
    again.terminate()
    again.wait(PATIENCE)
    deployment.until_gone("orphan")


def test_an_edge_that_stands_still_past_its_lease_may_not_write_what_it_lost(
    deployment: Deployment, web: WebServer
) -> None:
    token = deployment.new_token("fourth", "slept")
    ssh = deployment.ssh("eu", token, web.port)
    lines = Lines(ssh)
    lines.until("http://slept.")
    deployment.edges["eu"].freeze()
    deployment.until_gone("slept")
    deployment.edges["eu"].thaw()
    assert lines.rest()[-1] == "The core no longer knows this tunnel: start it again."
    assert deployment.dig("slept") == ["", ""]
    agree(deployment)


def test_a_core_that_is_killed_is_not_noticed_by_live_tunnels(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("fifth", "steady")
    ssh = deployment.ssh("us", token, web.port)
    lines = Lines(ssh)
    lines.until("http://steady.")
    assert deployment.core is not None
    deployment.core.kill()
    refused = deployment.ssh("us", "nobody", web.port)
    assert "its core does not answer" in Lines(refused).rest()[-1]
    assert '"method": "GET"' in deployment.visit("us", "steady")
    deployment.edges["us"].until("live tunnels go on")
    deployment.core.start()
    deployment.edges["us"].until("the core answers again")
    assert '"method": "GET"' in deployment.visit("us", "steady")
    # A core that starts waits one whole lease before it sweeps; this is when it would have swept wrongly.
    bound = time.monotonic() + 2 * LEASE
    while time.monotonic() < bound:
        assert "http steady" in deployment.pinggy("tunnel", "list").stdout
    assert deployment.dig("steady") == [f"us.{DOMAIN}.", f"us.{DOMAIN}."]
    agree(deployment)
    ssh.terminate()
    ssh.wait(PATIENCE)
    deployment.until_gone("steady")


def test_gates_that_are_killed_still_know_the_highest_epochs(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("sixth", "fenced")
    old = deployment.ssh("us", token, web.port)
    Lines(old).until("http://fenced.")
    deployment.edges["us"].freeze()
    new = deployment.ssh("eu", f"{token}+force", web.port)
    Lines(new).until("http://fenced.")
    for gate in deployment.gates:
        gate.kill()
        gate.start()
    # What the old edge does when it wakes meets gates that were killed in between.
    deployment.edges["us"].thaw()
    deployment.edges["us"].until("has ended:")
    old.wait(PATIENCE)
    assert deployment.dig("fenced") == [f"eu.{DOMAIN}.", f"eu.{DOMAIN}."]
    agree(deployment)
    new.terminate()
    new.wait(PATIENCE)
    deployment.until_gone("fenced")


def test_a_core_that_is_killed_between_grant_and_publish(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("seventh", "granted")
    warmed_up(deployment, "us", token, web.port, "granted")
    for gate in deployment.gates:
        gate.freeze()
    ssh = deployment.ssh("us", token, web.port)
    deployment.until_listed("granted")
    assert deployment.core is not None
    deployment.core.kill()
    for gate in deployment.gates:
        gate.thaw()
    assert "its core does not answer" in Lines(ssh).rest()[-1]
    assert ssh.wait(PATIENCE) == 1
    deployment.edges["us"].until("could not release")
    deployment.core.start()
    deployment.until_gone("granted")
    agree(deployment)
    again = deployment.ssh_until_live("eu", token, web.port, "http://granted.")
    again.terminate()
    again.wait(PATIENCE)
    deployment.until_gone("granted")


def test_an_edge_that_is_killed_between_publish_and_live(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("eighth", "published")
    warmed_up(deployment, "eu", token, web.port, "published")
    for gate in deployment.gates:
        gate.freeze()
    ssh = deployment.ssh("eu", token, web.port)
    deployment.until_listed("published")
    assert deployment.core is not None
    deployment.core.freeze()
    for gate in deployment.gates:
        gate.thaw()
    # The record stands, but the core has not been told: it stands still.
    deployment.until_stands("published", f"eu.{DOMAIN}.")
    deployment.edges["eu"].kill()
    deployment.core.thaw()
    ssh.wait(PATIENCE)
    deployment.until_gone("published")
    agree(deployment)
    deployment.edges["eu"].start()
    again = deployment.ssh_until_live("us", token, web.port, "http://published.")
    again.terminate()
    again.wait(PATIENCE)
    deployment.until_gone("published")
