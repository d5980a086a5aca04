"""
Each kind of ssh client starts tunnels, sees what the contract says it sees, and ends them.
"""

from __future__ import annotations

import asyncio
import re

import asyncssh
import pytest

from tests.support.local_servers import WebServer
from tests.support.openssh import asyncssh_lines, asyncssh_options, dbclient, ssh
from tests.support.public import ask, connect, dig, eventually, status
from tests.support.service import Service

NOTICES = ["You are not authenticated.", "Your tunnel will expire in 60 minutes."]


def expected_urls(service: Service, name: str) -> list[str]:
    return [f"http://{name}.a.localhost:{service.http_port}", f"https://{name}.a.localhost:{service.https_port}"]


def name_in(url: str | None) -> str:
    found = re.match(r"http://([a-z0-9]+)\.a\.localhost:", url or "")
    assert found, url
    return found[1]


# -- OpenSSH -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [("-T",), ()])
@pytest.mark.parametrize("forward", ["-R0:localhost:{}", "-R1:localhost:{}", "-R80:localhost:{}", "-R*:0:localhost:{}"])
def test_openssh_without_an_account_prints_two_notices_and_two_urls(
    service: Service, web: WebServer, flags: tuple[str, ...], forward: str
) -> None:
    with ssh(service, *flags, forward.format(web.port)) as client:
        first, second, http, https = client.next(4)
        assert [first, second] == NOTICES
        assert [http, https] == expected_urls(service, name_in(http))
        for url in (http, https):
            assert ask(service, f"{url}/x?y=1")["target"] == "/x?y=1"


def test_an_account_sees_only_its_urls_under_the_name_it_has_reserved(service: Service, web: WebServer) -> None:
    with ssh(service, "-T", f"-R0:localhost:{web.port}", user=service.token) as client:
        http, https = client.next(2)
        assert [http, https] == expected_urls(service, "hello")
        assert ask(service, f"{http}/")["method"] == "GET"
        assert dig(service, "hello.a.localhost") == ["local.a.localhost."]
        client.process.terminate()
        assert client.end() == (255, [])
    eventually(lambda: dig(service, "hello.a.localhost") == [])


def test_a_login_name_is_not_a_token(service: Service, web: WebServer) -> None:
    """ssh sends the local login name where none is typed."""
    with ssh(service, "-T", f"-R0:localhost:{web.port}", user="alice") as client:
        assert client.next(2) == NOTICES


def test_openssh_is_told_a_port_for_port_0_and_none_for_another(service: Service, web: WebServer) -> None:
    with ssh(
        service,
        *("-T", "-v", f"-R0:localhost:{web.port}", f"-Rtwo:1:localhost:{web.port}", f"-Rthree:0:localhost:{web.port}"),
        user=service.new_token("ports"),
        merged=True,
    ) as client:
        assert re.search(r"Allocated port [1-9]\d* for remote forward", client.lines.until("Allocated port"))
        assert "remote forward success for: listen two:1" in client.lines.until("remote forward success")
        assert "three" in client.lines.until("remote forward success")


def test_without_a_session_the_defaults_serve_after_two_seconds(service: Service, web: WebServer) -> None:
    name = "sessionless"
    forward = f"-R{name}:0:localhost:{web.port}"
    with ssh(service, "-N", forward, user=service.new_token(name), merged=True) as client:
        client.lines.until("Allocated port")
        assert dig(service, f"{name}.a.localhost") == ["local.a.localhost."]
        # This visitor waits until no session can be expected any more.
        assert ask(service, f"http://{name}.a.localhost:{service.http_port}/")["method"] == "GET"


@pytest.mark.parametrize(
    ("words", "command", "sentence"),
    [
        ((), (), "No forwarding was asked for: add -R0:localhost:8000, with the port of your local server."),
        (("-R0:localhost:1",), ("x:typo",), "'x:typo' is not an option of this service."),
        (("-R0:localhost:1",), ("w:10.0.0.0/8", "--help"), "'--help' is not an option of this service."),
        (("-R0:localhost:1",), ("w:10.0.0.300",), "'w:10.0.0.300' has something that is no IPv4 or IPv6 address or"),
        (("-R0:localhost:1",), ("r:Host",), "'r:Host' is refused: a request has one Host, always."),
        (("-R0:localhost:1",), ("'b:never closed",), "The arguments have a quotation mark that is never closed."),
        (("-Rblog:1:localhost:1",), (), "The name blog needs an account: sign in with a token, or ask without"),
        (("-Rudp//x:1:localhost:1",), (), "Tunnels of type udp are not served here: use http, tcp, tls or tlstcp."),
        (("-Rhtpp//x:1:localhost:1",), (), "The schema 'htpp' of a forwarding is unknown"),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_last_line_and_exit_status_1(
    service: Service, words: tuple[str, ...], command: tuple[str, ...], sentence: str
) -> None:
    with ssh(service, "-T", *words, command=command) as client:
        exit_status, lines = client.end()
    assert exit_status == 1
    assert lines[-1].startswith(sentence)
    assert not any("://" in line for line in lines)


def test_a_second_default_forwarding_is_refused_and_the_first_one_serves(service: Service, web: WebServer) -> None:
    with ssh(service, "-T", f"-R0:localhost:{web.port}", f"-R1:localhost:{web.port}") as client:
        url = client.url()
        assert client.lines.until("Only one forwarding can go without a name: write -R NAME:1:HOST:PORT for the others")
        assert ask(service, url)["method"] == "GET"


@pytest.mark.parametrize("word", ["www", "local", "ns1", "mail", "tcp-20000"])
def test_the_zone_s_own_names_are_nobody_s(service: Service, word: str) -> None:
    with ssh(service, "-T", f"-R{word}:1:localhost:1", user=service.token) as client:
        assert client.end() == (1, [f"The name {word} belongs to the service itself: choose another."])


def test_a_refused_forwarding_leaves_the_others_alone(service: Service, web: WebServer) -> None:
    words = ("-T", f"-Rwww:1:localhost:{web.port}", f"-Rfine:1:localhost:{web.port}")
    with ssh(service, *words, user=service.new_token("fine")) as client:
        assert client.next(3) == [
            *expected_urls(service, "fine"),
            "The name www belongs to the service itself: choose another.",
        ]
        assert ask(service, f"http://fine.a.localhost:{service.http_port}/")["method"] == "GET"


# -- dbclient ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["nobody", "auth"])
def test_dbclient_prints_the_same_and_needs_no_password(service: Service, web: WebServer, user: str) -> None:
    with dbclient(service, "-R", f"0:localhost:{web.port}", user=user, password="anything") as client:
        first, second, http, https = client.next(4)
        assert [first, second] == NOTICES
        assert [http, https] == expected_urls(service, name_in(http))
        assert ask(service, f"{https}/")["method"] == "GET"


def test_dbclient_of_an_account_with_a_name_and_a_policy(service: Service, web: WebServer) -> None:
    user = service.new_token("dropbear") + "+auth"
    with dbclient(
        service, "-R", f"bear:1:localhost:{web.port}", user=user, command=("x:https",), password="x"
    ) as client:
        assert client.next(2) == expected_urls(service, "bear")
        assert status(service, f"http://bear.a.localhost:{service.http_port}/") == 301


def test_dbclient_shows_a_refusal_and_exits_with_1(service: Service) -> None:
    with dbclient(service, "-R", "0:localhost:1", command=("x:typo",)) as client:
        ended, lines = client.end()
    assert ended == 1
    assert len(lines) == 1
    assert lines[0].startswith("'x:typo' is not an option of this service.")


# -- asyncssh ----------------------------------------------------------------------------------------------------


def test_asyncssh_prints_the_same_and_is_told_its_port(service: Service, web: WebServer) -> None:
    async def go() -> None:
        async with asyncssh.connect(**asyncssh_options(service)) as connection:
            listener = await connection.forward_remote_port("", 0, "127.0.0.1", web.port)
            assert 1 <= listener.get_port() <= 65535
            process = await connection.create_process()
            first, second, http, https = await asyncssh_lines(process, 4)
            assert [first, second] == NOTICES
            assert [http, https] == expected_urls(service, name_in(http))
            assert (await asyncio.to_thread(ask, service, f"{http}/"))["method"] == "GET"

    asyncio.run(go())


def test_asyncssh_of_an_account_awaits_each_reply_and_withdraws_one_alone(service: Service, web: WebServer) -> None:
    token = service.new_token("withdraws")

    async def go() -> None:
        async with asyncssh.connect(**asyncssh_options(service, token)) as connection:
            first = await connection.forward_remote_port("first", 1, "127.0.0.1", web.port)
            second = await connection.forward_remote_port("second", 0, "127.0.0.1", web.port)
            third = await connection.forward_remote_port("tcp//third", 0, "127.0.0.1", web.port)
            assert first.get_port() == 1
            assert second.get_port() != third.get_port()
            process = await connection.create_process()
            lines = await asyncssh_lines(process, 5)
            assert lines[:4] == expected_urls(service, "first") + expected_urls(service, "second")
            assert lines[4].startswith("tcp://")

            second.close()
            third.close()
            await asyncio.gather(second.wait_closed(), third.wait_closed())
            await asyncio.to_thread(eventually, lambda: dig(service, "second.a.localhost") == [])
            assert await asyncio.to_thread(status, service, lines[2]) == 404
            await asyncio.to_thread(eventually, lambda: _is_refused(lines[4]))
            assert dig(service, "first.a.localhost") == ["local.a.localhost."]
            assert (await asyncio.to_thread(ask, service, lines[0]))["method"] == "GET"

            # The name that was given back can be had again, in this connection too.
            await connection.forward_remote_port("second", 0, "127.0.0.1", web.port)
            assert await asyncssh_lines(process, 2) == lines[2:4]

    asyncio.run(go())


def _is_refused(url: str) -> bool:
    try:
        connect(url).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(("word", "let_in"), [("w:10.0.0.0/8", False), ("w:127.0.0.0/8", True)])
def test_visitors_wait_until_the_command_was_read_and_are_judged_by_it(
    service: Service, web: WebServer, word: str, let_in: bool
) -> None:
    """The session is there, but says only later what it wants."""
    token = service.new_token("waits")
    address = f"http://waits.a.localhost:{service.http_port}/{let_in}"

    async def go() -> None:
        async with (
            asyncssh.connect(**asyncssh_options(service, token)) as connection,
            asyncssh.connect(**asyncssh_options(service, token)) as other,
        ):
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_process(subsystem="neither exec nor shell")
            await connection.forward_remote_port("waits", 1, "127.0.0.1", web.port)
            http = asyncio.create_task(asyncio.to_thread(status, service, address))
            https_address = f"https://waits.a.localhost:{service.https_port}/{let_in}"
            https = asyncio.create_task(asyncio.to_thread(status, service, https_address))

            # Where no session opens the defaults hold after a while: by then they would hold here as well.
            await other.forward_remote_port("waits-not", 1, "127.0.0.1", web.port)
            not_waiting = f"http://waits-not.a.localhost:{service.http_port}/"
            assert await asyncio.to_thread(status, service, not_waiting) == 200
            assert not http.done()
            assert not https.done()

            process = await connection.create_process(word)
            await asyncssh_lines(process, 2)
            assert [await http, await https] == ([200, 200] if let_in else [0, 0])

    asyncio.run(go())
    targets = set()
    while not web.seen.empty():
        targets.add(web.seen.get())
    assert (("GET", f"/{let_in}") in targets) is let_in
