"""
gRPC through real ssh: whatever grpcio could do at the local server itself (x:h2).
"""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.grpc_calls import GrpcServer, grpc_channel, grpc_server
from tests.support.local_servers import WebServer, own_certificate
from tests.support.openssh import ssh
from tests.support.public import connect_tls, curl, host
from tests.support.service import PATIENCE, Service


@pytest.fixture(scope="module")
def server() -> Iterator[GrpcServer]:
    with grpc_server() as server:
        yield server


@pytest.fixture(scope="module")
def url(service: Service, server: GrpcServer) -> Iterator[str]:
    with ssh(service, "-T", f"-R0:localhost:{server.port}", command=("x:h2",)) as client:
        yield client.url("https")


@pytest.fixture(scope="module")
def channel(service: Service, url: str) -> Iterator[grpc.Channel]:
    with grpc_channel(url, service.ca) as channel:
        yield channel


def test_a_unary_call_with_metadata_both_ways(channel: grpc.Channel) -> None:
    message, call = channel.unary_unary("/test.Calls/echo").with_call(
        b"hello", PATIENCE, metadata=(("x-one", "1"), ("x-two-bin", b"\x00\x01\xfe"))
    )
    assert message == b"hello"
    assert {("x-one", "1"), ("x-two-bin", b"\x00\x01\xfe")} <= set(call.initial_metadata())
    assert ("outcome-bin", b"\x00\xff") in call.trailing_metadata()


def test_streams_of_the_server_and_of_the_client(channel: grpc.Channel) -> None:
    counted = list(channel.unary_stream("/test.Calls/count")(b"2000", PATIENCE))
    assert counted == [b"%d" % number for number in range(2000)]
    assert channel.stream_unary("/test.Calls/join")(iter(counted), PATIENCE) == b"".join(counted)


def test_each_message_of_a_talk_passes_when_it_is_said(channel: grpc.Channel) -> None:
    says: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    heard = channel.stream_stream("/test.Calls/talk")(iter(says.get, None), PATIENCE)
    for number in range(50):
        says.put(b"%d" % number)
        assert next(heard) == b"%d" % number
    says.put(None)
    assert list(heard) == []
    assert heard.code() is grpc.StatusCode.OK


def test_large_messages_pass_whole(channel: grpc.Channel) -> None:
    message = bytes(range(256)) * 16 * 1024  # 4 MiB
    assert channel.unary_unary("/test.Calls/echo")(message, PATIENCE) == message


def test_an_error_is_said_in_trailers_with_or_without_messages_before(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/test.Calls/fail")(b"", PATIENCE)
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND
    assert failed.value.details() == "no such thing: \u00e4 %"
    assert ("reason", "nobody has it") in failed.value.trailing_metadata()
    call = channel.unary_stream("/test.Calls/fail_late")(b"", PATIENCE)
    assert next(call) == b"first"
    with pytest.raises(grpc.RpcError) as failed:
        next(call)
    assert failed.value.code() is grpc.StatusCode.DATA_LOSS
    assert failed.value.details() == "the rest is gone"


def test_one_who_gives_up_or_whose_time_is_up_is_given_up_at_the_server(
    channel: grpc.Channel, server: GrpcServer
) -> None:
    wait = channel.unary_unary("/test.Calls/wait")
    call = wait.future(b"", PATIENCE)
    server.waiting.get(timeout=PATIENCE)
    call.cancel()
    server.cancelled.get(timeout=PATIENCE)
    with pytest.raises(grpc.RpcError) as failed:
        wait(b"", 0.3)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    server.cancelled.get(timeout=PATIENCE)


def test_many_calls_at_once_over_one_channel(channel: grpc.Channel) -> None:
    """More than may be open at once over one connection: the rest waits, or comes over another one."""
    echo = channel.unary_unary("/test.Calls/echo")
    calls = [echo.future(b"%d" % number, PATIENCE) for number in range(300)]
    assert [call.result() for call in calls] == [b"%d" % number for number in range(300)]


def test_one_who_does_not_read_stops_nobody_else(service: Service, channel: grpc.Channel, url: str) -> None:
    unread = channel.unary_stream("/test.Calls/count")(b"2000000", PATIENCE)
    assert next(unread) == b"0"
    with grpc_channel(url, service.ca) as other:
        assert other.unary_unary("/test.Calls/echo")(b"x" * 100_000, PATIENCE) == b"x" * 100_000
    unread.cancel()


def test_a_server_that_stops_gently_lets_a_talk_end(service: Service) -> None:
    says: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    with grpc_server() as server, ssh(service, "-T", f"-R0:localhost:{server.port}", command=("x:h2",)) as client:
        url = client.url("https")
        with grpc_channel(url, service.ca) as channel:
            heard = channel.stream_stream("/test.Calls/talk")(iter(says.get, None), PATIENCE)
            stopped = None
            for number in range(40):
                says.put(b"%d" % number)
                assert next(heard) == b"%d" % number
                if number == 3:
                    stopped = server.stop(PATIENCE)
            # Whoever comes now finds nobody.
            with pytest.raises(grpc.RpcError) as failed:
                channel.unary_unary("/test.Calls/echo")(b"", PATIENCE)
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
            says.put(None)
            assert list(heard) == []
            assert heard.code() is grpc.StatusCode.OK
            assert stopped is not None
            assert stopped.wait(PATIENCE)


def test_calls_reach_a_server_that_speaks_tls(service: Service, tmp_path: Path) -> None:
    own = own_certificate(tmp_path / "own", "a.localhost")
    credentials = grpc.ssl_server_credentials([(own.key.read_bytes(), own.certificate.read_bytes())])
    with (
        grpc_server(credentials) as server,
        ssh(service, "-T", f"-R0:localhost:{server.port}", command=("x:h2", "x:localServerTls")) as client,
        grpc_channel(client.url("https"), service.ca) as channel,
    ):
        assert channel.stream_unary("/test.Calls/join")(iter([b"a", b"b"]), PATIENCE) == b"ab"


def test_other_clients_than_grpc_meet_the_same_server(service: Service, url: str) -> None:
    """HTTP/1.1 is spoken to visitors who speak no other; what has no way over HTTP/2 is answered by the edge."""
    for version in ("--http2", "--http1.1"):
        for call, outcome in (("echo", b"grpc-status: 0"), ("fail", b"grpc-status: 5")):
            done = curl(
                service,
                *(version, "--include", "--header", "Content-Type: application/grpc", "--header", "TE: trailers"),
                *("--data-binary", "@-", f"{url}/test.Calls/{call}"),
                data=b"\0\0\0\0\2hi",
            )
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            assert head.split(b"\r\n")[0].split()[1] == b"200"
            # Of the failure the head is all there is.
            assert outcome in (rest if call == "echo" else head)
            assert rest.startswith(b"\0\0\0\0\2hi") == (call == "echo")
    with connect_tls(url, service.ca) as visitor:
        visitor.sendall(
            f"GET / HTTP/1.1\r\nHost: {host(url)}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode()
        )
        assert visitor.recv(12) == b"HTTP/1.1 501"


def test_a_local_server_that_speaks_no_http2_is_told_from_one_that_is_down(service: Service, web: WebServer) -> None:
    with ssh(service, "-T", f"-R0:localhost:{web.port}", command=("x:h2",)) as client:
        url = client.url("https")
        said = curl(service, "--include", url).stdout
        assert b" 502" in said.splitlines()[0]
        assert b"did not speak HTTP/2" in said
        with grpc_channel(url, service.ca) as channel, pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/test.Calls/echo")(b"", PATIENCE)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "did not speak HTTP/2" in failed.value.details()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with ssh(service, "-T", f"-R0:localhost:{taken.getsockname()[1]}", command=("x:h2",)) as client:
            assert b"refused the connection" in curl(service, client.url("https")).stdout
