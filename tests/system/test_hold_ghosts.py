"""
Who is gone without a word is found out: clients hold no name then, visitors no connection. Who is only quiet stays.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.support.local_servers import echo, tcp_server, web_server
from tests.support.openssh import ssh
from tests.support.public import ask, connect, dig, eventually, status
from tests.support.service import PATIENCE, Service

# A client is silent for 15 s before it is given up; then its names are withdrawn.
FREED = 20.0


def test_a_stopped_client_loses_its_names_and_a_quiet_one_keeps_them(service: Service) -> None:
    ghost_token, probed_token, quiet_token = (service.new_token(each) for each in ("ghost", "probed", "quiet"))
    with ExitStack() as stack:
        web = stack.enter_context(web_server())
        forward = f"0:localhost:{web.port}"
        quiet = stack.enter_context(ssh(service, "-T", f"-Rquiet:{forward}", user=quiet_token))
        quiet_url = quiet.url()
        ghost = stack.enter_context(ssh(service, "-T", f"-Rghost:{forward}", f"-Rtcp//:{forward}", user=ghost_token))
        ghost_url, tcp_url = ghost.url(), ghost.url("tcp")
        probed = stack.enter_context(ssh(service, "-T", f"-Rprobed:{forward}", user=probed_token))
        probed_url = probed.url()

        ghost.freeze()
        probed.freeze()
        assert dig(service, "ghost.a.localhost") == ["local.a.localhost."]
        statuses: list[int] = []
        visitor = threading.Thread(target=lambda: statuses.append(status(service, ghost_url)))
        visitor.start()

        # A new claim finds a name that nobody answers for, and has it without force.
        new = stack.enter_context(ssh(service, "-T", f"-Rprobed:{forward}", user=probed_token))
        assert new.next(1) == [probed_url]
        assert ask(service, probed_url)["method"] == "GET"

        # Without a claim the silence itself frees the names.
        eventually(lambda: dig(service, "ghost.a.localhost") == [], FREED)
        visitor.join(PATIENCE)
        assert statuses == [503]
        assert status(service, ghost_url) == 404
        eventually(lambda: _is_closed(tcp_url))
        again = stack.enter_context(ssh(service, "-T", f"-Rghost:{forward}", user=ghost_token))
        assert again.next(1) == [ghost_url]

        assert ask(service, quiet_url)["method"] == "GET"
        assert quiet.process.poll() is None


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_a_visitor_who_says_nothing_is_asked_for_a_sign_of_life(service: Service, kind: str) -> None:
    with (
        tcp_server(echo) as server,
        ssh(service, "-T", f"-R0:localhost:{server}", user=kind) as client,
        connect(client.url(kind)) as visitor,
    ):
        port = visitor.getsockname()[1]
        eventually(lambda: "timer:(keepalive," in sockets_to(port), 10)


def sockets_to(port: int) -> str:
    """What the kernel says of connections to *port* of loopback, their timers included."""
    words = ["ss", "--no-header", "--tcp", "--numeric", "--options", "dport", "=", f":{port}"]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def _is_closed(url: str) -> bool:
    try:
        connect(url).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_anonymous_tunnel_ends_in_its_time(new_service: Callable[..., Service]) -> None:
    service = new_service("anonymous_minutes = 0.06")
    service.start()
    with (
        ssh(service, "-T", "-R0:localhost:1") as anonymous,
        ssh(service, "-T", "-R0:localhost:1", user=service.token) as mine,
    ):
        name = anonymous.url().partition("//")[2].partition(":")[0]
        exit_status, lines = anonymous.end()
        assert exit_status == 1
        assert lines[-1] == "Your tunnel has expired: start it again for a new one."
        eventually(lambda: dig(service, name) == [])
        assert status(service, mine.url()) == 502
    assert service.stop() == 0
    assert service.failures() == []
