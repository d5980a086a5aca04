"""
From the first start to the last stop: what a newcomer pastes works, and nothing is left over, however it ends.
"""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.metrics.expositions import parsed
from tests.support.public import curl
from tests.support.service import PATIENCE, Service
from tests.system.tools import Ssh, eventually, is_free, local_web, processes_of, tunnel, visit

NewService = Callable[..., Service]


def pasted(service: Service) -> list[str]:
    """The lines to paste, as they were printed: two for ssh, two for curl, and how to start a web server."""
    assert service.lines is not None
    return [line.strip() for line in service.lines.seen if line.startswith("    ")]


def postmaster(service: Service) -> int:
    return int((service.state / "postgres" / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def is_there(pid: int) -> bool:
    """Whether the process runs; one that waits for its parent's glance is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def nothing_is_left(service: Service) -> bool:
    ports = (service.https_port, service.http_port, service.core_port, service.dns_port, service.metrics_port)
    return (
        processes_of(service.folder) == []
        and all(is_free(port) for port in ports)
        and is_free(service.dns_port, socket.SOCK_DGRAM)
    )


def kept(service: Service) -> dict[str, bytes]:
    """What a second start must find again."""
    names = ("first.token", "operator.key", "edge.secret", "known_hosts", "tls/ca.pem", "ssh/ssh_host_ed25519_key")
    return {name: (service.state / name).read_bytes() for name in names}


def page(curl: str, folder: Path) -> tuple[bytes, bytes]:
    """What a pasted curl line shows, and complains about."""
    words = f"{curl} --silent --show-error --noproxy '*'"
    done = subprocess.run(words, shell=True, cwd=folder, capture_output=True, timeout=PATIENCE, check=False)
    return done.stdout, done.stderr


def test_a_newcomer_pastes_what_the_first_start_prints(new_service: NewService) -> None:
    service = new_service()
    service.start()
    web_server, ssh, http, https, ssh_without_account = pasted(service)
    assert web_server == "python3 -m http.server 8000"
    with local_web(b"a page of the newcomer") as port:
        for line in (ssh, ssh_without_account):
            # The port is the only thing that is the reader's own.
            client = Ssh(line.replace("localhost:8000", f"localhost:{port}"), service.folder)
            try:
                client.url()
                if line is ssh:
                    assert page(http, service.folder) == (b"a page of the newcomer", b"")
                    assert page(https, service.folder) == (b"a page of the newcomer", b"")
            finally:
                client.leave()
    assert service.stop() == 0
    assert nothing_is_left(service)
    assert service.failures() == []


def test_it_lives_where_others_may_not_enter_and_tells_no_secrets(new_service: NewService, tmp_path: Path) -> None:
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700, "pytest's folder is the case that is meant here"
    service = new_service()
    service.start()
    cluster = service.state / "postgres" / "cluster"
    for folder in (cluster, service.state / "postgres", service.state / "ssh"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = ("operator.key", "edge.secret", "first.token", "postgres/password", "ssh/ssh_host_rsa_key", "tls/key.pem")
    for file in files:
        assert stat.S_IMODE((service.state / file).stat().st_mode) == 0o600, file
    owner = Path(f"/proc/{postmaster(service)}").stat().st_uid
    assert owner != 0
    assert owner == cluster.stat().st_uid
    token = service.new_token("alice")
    with tunnel(service, token) as (_, name):
        assert visit(service, name)[0] == 200
        metrics = curl(service, f"http://127.0.0.1:{service.metrics_port}/metrics").stdout.decode()
    # Core and edge show theirs at one port, and nobody's name.
    shown = parsed(metrics)
    assert shown.value("pinggy_edge_tunnels") == shown.value("pinggy_core_tunnels", edge="local") == 1
    assert shown.value("pinggy_edge_visitors_total") == 1
    assert "alice" not in metrics
    assert name not in metrics
    assert service.stop() == 0
    assert re.search(r"tunnel [0-9a-f]{32} of alice .* is live", service.log.read_text())
    said = service.log.read_text() + (service.state / "postgres" / "postgresql.log").read_text()
    for secret in (token, *((service.state / file).read_text().strip() for file in files)):
        assert secret not in said


def test_a_second_start_keeps_all_data(new_service: NewService) -> None:
    service = new_service()
    service.start()
    token = service.new_token("alice")
    service.pinggy("name", "reserve", "alice", "kept-name")
    before, accounts = kept(service), service.pinggy("account", "list", "--json").stdout
    for number in (signal.SIGINT, signal.SIGTERM):
        database = postmaster(service)
        assert is_there(database)
        with tunnel(service) as (client, _):
            assert service.process is not None
            service.process.send_signal(number)
            status, lines, _ = client.end()
            assert service.process.wait(PATIENCE) == 0
        assert (status, lines) == (1, ["This edge is stopping: start the tunnel again."])
        assert nothing_is_left(service)
        assert not is_there(database)

        service.start()
        assert kept(service) == before
        assert service.pinggy("account", "list", "--json").stdout == accounts
        for user, name in ((token, "kept-name"), (service.token, "hello")):
            with tunnel(service, user) as (_, granted):
                assert granted == name
                assert visit(service, name)[0] == 200
    assert service.log.read_text().count("made a PostgreSQL") == 1
    assert service.log.read_text().count("was brought up to date") == 1
    assert service.stop() == 0
    assert service.failures() == []


def test_asked_twice_it_stops_once(new_service: NewService) -> None:
    service = new_service()
    service.start()
    assert service.process is not None
    # Who does not read holds up the end: the edge gives it a moment.
    with tunnel(service), socket.create_connection(("127.0.0.1", service.https_port)) as silent:
        silent.sendall(b"SSH-2.0-silent\r\n")
        service.process.send_signal(signal.SIGINT)
        eventually(lambda: is_free(service.https_port), "the stop")
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(PATIENCE) == 0
    assert nothing_is_left(service)
    assert service.failures() == []


def test_killed_it_recovers_at_the_next_start(new_service: NewService) -> None:
    service = new_service()
    service.start()
    service.new_token("alice")
    before, accounts, database = kept(service), service.pinggy("account", "list", "--json").stdout, postmaster(service)
    with tunnel(service, service.token) as (_, name):
        assert name == "hello"
        service.kill()
    assert is_there(database), "the database was not even left behind"

    service.start()
    assert not is_there(database)
    assert kept(service) == before
    assert service.pinggy("account", "list", "--json").stdout == accounts.replace('"tunnels": 1', '"tunnels": 0')
    with tunnel(service, service.token) as (_, name):
        assert name == "hello"
        assert visit(service, name)[0] == 200
    assert service.stop() == 0
    assert nothing_is_left(service)
    assert service.failures() == []


def test_a_first_start_may_end_at_any_moment(new_service: NewService) -> None:
    service = new_service()
    making = service.state / "postgres" / "cluster.making"
    for end in (service.kill, service.stop):
        service.launch()
        # The folder may be there from the time before.
        eventually(lambda: processes_of(making) != [], "initdb")
        assert end() in (None, 0)
        assert not (service.state / "postgres" / "cluster").exists()
        if end == service.stop:
            assert nothing_is_left(service)
        else:
            eventually(lambda: processes_of(making) == [], "the end of an initdb that nobody waits for")
    service.start()
    with tunnel(service, service.token) as (_, name):
        assert name == "hello"
    assert service.stop() == 0
    assert nothing_is_left(service)
    assert service.failures() == []
