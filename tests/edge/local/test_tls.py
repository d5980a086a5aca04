"""
TLS toward a local server, over memory: real TLS on both sides, cut anywhere; its flow, its ends, and what goes wrong.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from pinggy.edge.local.tls import HANDSHAKE, TlsStream, speak_tls
from pinggy.edge.local_ca import LocalCertificate
from pinggy.edge.stream import Cause, Stream, StreamRefused
from tests.support.legs import Noting, TlsServer
from tests.support.streams import FakeStream

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def result(deferred: Deferred[Stream]) -> TlsStream:
    found: list[Stream] = []
    deferred.addCallback(found.append)
    assert found, "not ready"
    assert isinstance(found[0], TlsStream)
    return found[0]


def refusal(deferred: Deferred[Stream]) -> StreamRefused:
    found: list[object] = []
    deferred.addBoth(lambda outcome: found.append(getattr(outcome, "value", None)))
    assert found, "not refused"
    assert isinstance(found[0], StreamRefused)
    return found[0]


def shaken(server: TlsServer, clock: Clock | None = None) -> TlsStream:
    """A stream whose handshake with *server* is done."""
    waiting = speak_tls(server.stream, "localhost", (), clock or Clock())
    server.turn()
    return result(waiting)


# -- the handshake ------------------------------------------------------------------------------------------------


@VERSIONS
def test_bytes_pass_both_ways(own_certificate: LocalCertificate, version: ssl.TLSVersion) -> None:
    server, clock = TlsServer(own_certificate, version=version), Clock()
    stream = shaken(server, clock)
    receiver = Noting().attach_to(stream)
    stream.write(b"hello")
    server.turn()
    assert server.heard == b"hello"
    server.says(b"and to you")
    assert receiver.heard == b"and to you"
    assert server.asked == "localhost"
    assert clock.getDelayedCalls() == []


def test_a_name_of_ones_own_and_what_alpn_offers(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate, protocols=["h2", "http/1.1"])
    waiting = speak_tls(server.stream, "shop.internal", ("http/1.1",), Clock())
    server.turn()
    assert result(waiting).protocol == "http/1.1"
    assert server.asked == "shop.internal"
    assert server.tls.selected_alpn_protocol() == "http/1.1"


def test_nothing_is_offered_where_nothing_is_known(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate, protocols=["h2", "http/1.1"])
    assert shaken(server).protocol is None


def test_an_address_is_no_server_name(own_certificate: LocalCertificate) -> None:
    """RFC 6066 3."""
    server = TlsServer(own_certificate)
    waiting = speak_tls(server.stream, "127.0.0.1", (), Clock())
    server.turn()
    result(waiting)
    assert server.asked is None


def test_a_local_server_that_never_answers(own_certificate: LocalCertificate) -> None:
    stream, clock = FakeStream(), Clock()
    waiting = speak_tls(stream, "localhost", (), clock)
    clock.advance(HANDSHAKE - 0.1)
    assert not waiting.called
    clock.advance(0.1)
    refused = refusal(waiting)
    assert refused.cause is Cause.TLS
    assert "10 seconds" in str(refused)
    assert stream.aborted
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda stream: stream.client_sends(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "WRONG_VERSION_NUMBER"),
        (lambda stream: stream.client_sends(b"\x15\x03\x01\x00\x02\x02\x28"), "HANDSHAKE_FAILURE"),
        (lambda stream: stream.client_ends(), "closed the connection"),
        (lambda stream: stream.client_closes(), "closed the connection"),
    ],
)
def test_a_local_server_that_speaks_no_tls(happens: Callable[[FakeStream], None], words: str) -> None:
    stream, clock = FakeStream(), Clock()
    waiting = speak_tls(stream, "localhost", (), clock)
    happens(stream)
    refused = refusal(waiting)
    assert refused.cause is Cause.TLS
    assert words in str(refused)
    assert stream.aborted
    assert clock.getDelayedCalls() == []
    stream.client_sends(b"more")


def test_a_stream_that_was_over_before() -> None:
    stream, clock = FakeStream(), Clock()
    stream.client_closes()
    assert refusal(speak_tls(stream, "localhost", (), clock)).cause is Cause.TLS
    assert clock.getDelayedCalls() == []


def test_nobody_waits_for_it_any_more() -> None:
    stream, clock = FakeStream(), Clock()
    waiting = speak_tls(stream, "localhost", (), clock)
    waiting.cancel()
    cancelled: list[object] = []
    waiting.addErrback(lambda failure: cancelled.append(failure.trap(CancelledError)))
    assert cancelled == [CancelledError]
    assert stream.aborted
    assert clock.getDelayedCalls() == []


# -- what passes --------------------------------------------------------------------------------------------------


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    version=st.sampled_from([ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]),
    pieces=st.lists(st.one_of(st.binary(max_size=50), st.integers(0, 70_000).map(bytes)), max_size=5),
    cut=st.integers(1, 40_000),
)
def test_what_is_said_is_heard_however_it_is_cut(
    own_certificate: LocalCertificate, version: ssl.TLSVersion, pieces: list[bytes], cut: int
) -> None:
    server = TlsServer(own_certificate, version=version)
    server.cut = min(cut, 500)
    stream = shaken(server)
    server.cut = cut
    receiver = Noting().attach_to(stream)
    for piece in pieces:
        stream.write(piece)
        server.turn()
        server.says(piece)
    assert server.heard == receiver.heard == b"".join(pieces)


def test_one_piece_of_the_stream_is_one_piece_of_text(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate)
    stream = shaken(server)
    receiver = Noting().attach_to(stream)
    server.says(bytes(100_000))
    assert receiver.pieces == [bytes(100_000)]


def test_what_comes_before_somebody_attaches_waits_and_no_more_is_taken(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate)
    stream = shaken(server)
    assert not server.stream.paused
    server.says(b"220 ready\r\n")
    assert server.stream.paused
    server.says_goodbye()
    receiver = Noting().attach_to(stream)
    assert receiver.heard == b"220 ready\r\n"
    assert receiver.events == ["ended"]
    assert not server.stream.paused


def test_the_flow_is_that_of_the_stream(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate)
    stream = shaken(server)
    server.stream.client_is_full()
    receiver = Noting().attach_to(stream)
    server.stream.client_drains()
    assert receiver.events == ["full", "drained"]
    stream.pause()
    assert server.stream.paused
    server.says(b"what was under way")
    assert receiver.heard == b"what was under way"
    stream.resume()
    assert not server.stream.paused


# -- how it ends --------------------------------------------------------------------------------------------------


@VERSIONS
def test_each_way_ends_by_itself(own_certificate: LocalCertificate, version: ssl.TLSVersion) -> None:
    server = TlsServer(own_certificate, version=version)
    stream = shaken(server)
    receiver = Noting().attach_to(stream)
    stream.write(b"a question")
    stream.end()
    stream.write(b"too late")
    server.turn()
    assert server.heard == b"a question"
    assert server.ended
    assert not server.stream.ended
    assert receiver.events == []
    server.says(b"an answer")
    assert receiver.heard == b"an answer"
    server.says_goodbye()
    assert receiver.events == ["ended"]
    stream.close()
    assert server.stream.closed
    assert receiver.events == ["ended", "closed"]


@VERSIONS
def test_a_visitor_goes_on_after_the_local_servers_end(
    own_certificate: LocalCertificate, version: ssl.TLSVersion
) -> None:
    server = TlsServer(own_certificate, version=version)
    stream = shaken(server)
    receiver = Noting().attach_to(stream)
    server.says(b"the last word")
    server.says_goodbye()
    assert receiver.heard == b"the last word"
    assert receiver.events == ["ended"]
    stream.write(b"not quite")
    server.turn()
    assert server.heard == b"not quite"


def test_a_local_server_that_closes_tcp_alone_has_ended_too(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate)
    receiver = Noting().attach_to(shaken(server))
    server.stream.client_ends()
    server.stream.client_closes()
    assert receiver.events == ["ended", "closed"]


def test_to_close_is_to_say_so(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate)
    stream = shaken(server)
    stream.close()
    server.turn()
    assert server.ended
    assert server.stream.closed
    stream.write(b"nothing")
    stream.end()
    stream.abort()


def test_to_abort_is_not(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate)
    stream = shaken(server)
    receiver = Noting().attach_to(stream)
    stream.abort()
    server.turn()
    assert not server.ended
    assert server.stream.aborted
    assert receiver.events == ["closed"]


def test_what_is_no_tls_any_more_closes_both_ways(own_certificate: LocalCertificate) -> None:
    server = TlsServer(own_certificate)
    receiver = Noting().attach_to(shaken(server))
    server.says(b"well and good")
    server.stream.client_sends(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert receiver.heard == b"well and good"
    assert receiver.events == ["closed"]
    assert server.stream.aborted
