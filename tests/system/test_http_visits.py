"""
What HTTP visitors may do, through real ssh: whatever they could do at the local server itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect as websocket
from websockets.sync.server import ServerConnection, serve

from tests.support.local_servers import BLOCK, WebServer, read_until, reset, tcp_server
from tests.support.openssh import Client, ssh
from tests.support.public import ask, connect, connect_tls, curl, host, status
from tests.support.service import PATIENCE, Service

SCHEMES = ("http", "https")


@pytest.fixture(scope="module")
def urls(service: Service, web: WebServer) -> Iterator[dict[str, str]]:
    """By scheme, of one tunnel."""
    with ssh(service, "-T", f"-R0:localhost:{web.port}") as client:
        yield both(client)


def both(client: Client) -> dict[str, str]:
    return {scheme: client.url(scheme) for scheme in SCHEMES}


def visit(service: Service, url: str) -> socket.socket:
    return connect(url) if url.startswith("http:") else connect_tls(url, service.ca)


# -- requests on one connection ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pipelined_requests_are_answered_in_their_order(service: Service, urls: dict[str, str], scheme: str) -> None:
    url = urls[scheme]
    requests = [
        f"GET /first/{number} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n"
        if number % 2
        else f"PUT /digest HTTP/1.1\r\nHost: {host(url)}\r\nContent-Length: {number}\r\n\r\n{'x' * number}"
        for number in range(20)
    ]
    requests.append(f"GET /last HTTP/1.1\r\nHost: {host(url)}\r\nConnection: close\r\n\r\n")
    with visit(service, url) as visitor:
        visitor.sendall("".join(requests).encode())
        received = b""
        while data := visitor.recv(BLOCK):
            received += data
    text = received.decode()
    expected = [f'"/first/{number}"' if number % 2 else f'"size": {number},' for number in range(20)] + ['"/last"']
    places = [text.index(each) for each in expected]
    assert places == sorted(places)
    assert text.count("HTTP/1.1 200") == 21


def test_kept_alive_connections_reach_several_tunnels_in_turn(
    service: Service, web: WebServer, urls: dict[str, str]
) -> None:
    with ssh(service, "-T", f"-R0:localhost:{web.port}") as client:
        other = client.url("http")
        with connect(urls["http"]) as visitor:
            for url in (urls["http"], other, urls["http"], f"http://unknown.a.localhost:{service.http_port}", other):
                visitor.sendall(f"GET /{host(url)} HTTP/1.1\r\nHost: {host(url)}\r\n\r\n".encode())
                answer = read_until(visitor, b"\n" if "unknown" in url else f'/{host(url)}"'.encode())
                assert answer.startswith(b"HTTP/1.1 404" if "unknown" in url else b"HTTP/1.1 200"), answer
                if "unknown" in url:
                    while not answer.endswith(b"that it printed.\n"):
                        answer += visitor.recv(BLOCK)


def test_head_has_the_length_and_no_body(service: Service, urls: dict[str, str]) -> None:
    size = 5 * BLOCK
    request = f"HEAD /nothing/{size} HTTP/1.1\r\nHost: {host(urls['http'])}\r\n\r\n"
    with connect(urls["http"]) as visitor:
        visitor.sendall(request.encode() + request.encode().replace(b"HEAD", b"GET"))
        answer = read_until(visitor, b'"target"')
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: " in head
    assert rest.startswith(b"HTTP/1.1 200")


def test_expect_100_continue_is_the_local_server_s_to_answer(
    service: Service, web: WebServer, urls: dict[str, str]
) -> None:
    for scheme in SCHEMES:
        done = curl(
            service,
            *("--verbose", "--http1.1", "--header", "Expect: 100-continue", "--expect100-timeout", "50"),
            *("--upload-file", "-", f"{urls[scheme]}/digest"),
            data=b"x" * 10_000,
        )
        assert b'"size": 10000' in done.stdout
        assert b"HTTP/1.1 100 Continue" in done.stderr
        assert web.expected.get(timeout=PATIENCE) == "/digest"


def test_a_refused_expectation_saves_the_upload(service: Service) -> None:
    received: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        received.append(read_until(connection, b"\r\n\r\n"))
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with tcp_server(refuse) as port, ssh(service, "-T", f"-R0:localhost:{port}") as client:
        done = curl(
            service,
            *("--header", "Expect: 100-continue", "--expect100-timeout", "50", "--write-out", "%{http_code}"),
            *("--upload-file", "-", client.url("http")),
            data=b"x" * 100_000,
        )
        assert done.stdout == b"413"
        assert len(received) == 1
        assert b"xxx" not in received[0]


# -- websockets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_websocket_echoes_texts_and_bytes_and_closes(service: Service, scheme: str) -> None:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        with ssh(service, "-T", f"-R0:localhost:{port}") as client:
            asyncio.run(talk(service, client.url(scheme)))


async def talk(service: Service, url: str) -> None:
    """In one thread: Python's TLS does not bear one that reads beside one that writes."""
    tls = ssl.create_default_context(cafile=str(service.ca)) if url.startswith("https:") else None
    uri, port = f"{url.replace('http', 'ws', 1)}/chat", urlsplit(url).port
    async with websocket(uri, proxy=None, ssl=tls, host="127.0.0.1", port=port) as connection:
        for message in ("hello", "", "x" * 100_000, b"\x00\xff" * 200_000):
            await connection.send(message)
            assert await connection.recv() == message
        await connection.close()
        assert connection.close_code == 1000


# -- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["{name}", "{name}:80", "{name}.", "{name}.:1234", "{upper}", "{upper}:8443"])
def test_the_host_is_found_in_whatever_shape(service: Service, urls: dict[str, str], shape: str) -> None:
    name = host(urls["http"])
    header = shape.format(name=name, upper=name.upper())
    for scheme in SCHEMES:
        said = ask(service, urls[scheme], "--header", f"Host: {header}")
        assert said["headers"]["host"] == [header]


@pytest.mark.parametrize("name", ["unknown.a.localhost", "a.localhost", "x.y.a.localhost", "example.com", "127.0.0.1"])
def test_other_names_are_not_found_and_the_answer_is_a_sentence(
    service: Service, urls: dict[str, str], name: str
) -> None:
    done = curl(service, "--include", "--header", f"Host: {name}", f"http://127.0.0.1:{service.http_port}/")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert body == (
        b"No tunnel has this name at the moment. Is it yours? Start it again, or check the name that it printed.\n"
    )


def test_one_connection_by_tls_may_name_another_host_inside(service: Service, web: WebServer) -> None:
    """The Host counts, whatever the SNI said."""
    with (
        ssh(service, "-T", f"-R0:localhost:{web.port}") as one,
        ssh(service, "-T", "-R0:localhost:1") as other,
    ):
        words = ("--header", f"Host: {host(other.url('https'))}")
        assert status(service, one.url("https"), *words) == 502


# -- when somebody is not there ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_local_server_that_is_down_is_a_502(service: Service, scheme: str) -> None:
    with ssh(service, "-T", "-R0:localhost:1") as client:
        url = client.url(scheme)
        done = curl(service, "--include", url)
        assert done.stdout.split(b" ")[1] == b"502"
        assert b"the local server behind it refused the connection." in done.stdout


def test_a_local_server_that_answers_nothing_or_nonsense_is_a_502(service: Service) -> None:
    answers = {"/silent": b"", "/nonsense": b"220 smtp ready\r\n\r\n", "/two": b"HTTP/1.1 200 OK\r\n" * 2 + b"\r\n"}

    def serve_it(connection: socket.socket) -> None:
        target = read_until(connection, b"\r\n\r\n").split(b" ")[1].decode()
        connection.sendall(answers[target])

    with tcp_server(serve_it) as port, ssh(service, "-T", f"-R0:localhost:{port}") as client:
        url = client.url("http")
        for target in answers:
            assert status(service, url + target) == 502, target


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_client_who_leaves_ends_what_is_under_way(service: Service, scheme: str) -> None:
    """Before an answer has begun it is a 503; afterwards the name is unknown."""
    asked = threading.Event()

    def never_answer(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        asked.set()
        connection.recv(1)

    with tcp_server(never_answer) as port, ssh(service, "-T", f"-R0:localhost:{port}") as client:
        url = client.url(scheme)
        with visit(service, url) as visitor:
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host(url)}\r\n\r\n".encode())
            assert asked.wait(PATIENCE)
            client.kill()
            answer = read_until(visitor, b"why it ended.\n")
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert status(service, url) == 404


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("how", ["reset", "short"])
def test_a_response_that_breaks_off_is_seen_as_broken(service: Service, scheme: str, how: str) -> None:
    def break_off(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        if how == "reset":
            reset(connection)

    with tcp_server(break_off) as port, ssh(service, "-T", f"-R0:localhost:{port}") as client:
        done = curl(service, client.url(scheme), check=False)
        assert done.returncode in (18, 56, 92)  # partial file; failure in receiving; a stream that was reset


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_visitor_s_reset_ends_the_request_at_the_local_server(service: Service, scheme: str) -> None:
    begun, over = threading.Event(), threading.Event()

    def stream(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                connection.sendall(b"x" * BLOCK)
                begun.set()
        except OSError:
            over.set()

    with tcp_server(stream) as port, ssh(service, "-T", f"-R0:localhost:{port}") as client:
        url = client.url(scheme)
        visitor = visit(service, url)
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host(url)}\r\n\r\n".encode())
        read_until(visitor, b"xxxx")
        assert begun.wait(PATIENCE)
        reset(visitor)
        assert over.wait(PATIENCE)


def test_a_response_without_length_ends_with_the_local_server(service: Service) -> None:
    def old_style(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + b"y" * 300_000)

    with tcp_server(old_style) as port, ssh(service, "-T", f"-R0:localhost:{port}") as client:
        assert curl(service, client.url("http")).stdout == b"y" * 300_000


def test_a_visitor_who_sends_no_more_gets_his_answer(service: Service, urls: dict[str, str]) -> None:
    with connect(urls["http"]) as visitor:
        visitor.sendall(f"GET /half-closed HTTP/1.1\r\nHost: {host(urls['http'])}\r\n\r\n".encode())
        visitor.shutdown(socket.SHUT_WR)
        received = b""
        while data := visitor.recv(BLOCK):
            received += data
    assert b'"/half-closed"' in received
