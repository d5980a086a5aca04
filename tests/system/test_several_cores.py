"""Two cores behind one address: any may die, and what edges and clients were promised holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pinggy.settings import Secret
from tests.support.deployment import Deployment
from tests.support.local_servers import WebServer
from tests.support.postgres import execute
from tests.support.service import PATIENCE, Lines

LEASE = 3.0


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("cores"), regions=("us", "eu"), lease=LEASE, cores=2)
    try:
        made.start()
        yield made
        assert made.failures() == []
    finally:
        made.stop()


def epochs(deployment: Deployment) -> list[int]:
    """All that were ever given, by the ledger's own history."""
    rows = execute(
        Secret(deployment.database), "SELECT epoch FROM forwardings UNION ALL SELECT epoch FROM ended_forwardings"
    )
    return [epoch for (epoch,) in rows]


@pytest.mark.parametrize("killed", [0, 1])
def test_the_old_terminal_is_told_also_where_the_core_that_has_its_edges_stream_dies(
    deployment: Deployment, web: WebServer, killed: int
) -> None:
    name = f"moves{killed}"
    token = deployment.new_token(f"mover{killed}", name)
    old = deployment.ssh("us", token, web.port)
    told = Lines(old)
    told.until(f"http://{name}.")
    new = deployment.ssh("eu", f"{token}+force", web.port)
    try:
        deployment.cores[killed].kill()
        Lines(new).until(f"http://{name}.")
        told.until("Taken over: a newer session")
        old.wait(PATIENCE)
        assert '"method": "GET"' in deployment.visit("eu", name)
    finally:
        deployment.cores[killed].start()
        for ssh in (old, new):
            ssh.terminate()
            ssh.wait(PATIENCE)


@pytest.mark.parametrize("killed", [0, 1])
def test_no_set_up_fails_where_either_core_dies(deployment: Deployment, web: WebServer, killed: int) -> None:
    token = deployment.new_token(f"many{killed}")
    clients = [deployment.ssh(region, token, web.port) for region in ("us", "eu") * 3]
    try:
        Lines(clients[0]).until("http://")
        deployment.cores[killed].kill()
        clients += [deployment.ssh(region, token, web.port, named=f"late{killed}{region}") for region in ("us", "eu")]
        for client in clients[1:]:
            Lines(client).until("http://")
        given = epochs(deployment)
        assert len(given) == len(set(given))
    finally:
        deployment.cores[killed].start()
        for client in clients:
            client.terminate()
            client.wait(PATIENCE)


def test_tunnels_outlive_the_restart_of_both_cores(deployment: Deployment, web: WebServer) -> None:
    token = deployment.new_token("stayer", "stays")
    ssh = deployment.ssh("us", token, web.port)
    lines = Lines(ssh)
    lines.until("http://stays.")
    for core in deployment.cores:
        core.kill()
    assert '"method": "GET"' in deployment.visit("us", "stays")
    for core in deployment.cores:
        core.start()
    ((tunnel,),) = execute(Secret(deployment.database), "SELECT tunnel FROM forwardings WHERE name = 'stays'")
    deployment.pinggy("tunnel", "close", tunnel)
    lines.until("The operator has closed this tunnel")
    ssh.wait(PATIENCE)
