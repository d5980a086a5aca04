"""
What the local server reads of a request, and the visitor of a response.
"""

from __future__ import annotations

import pytest

from pinggy.http.framing import NOT_IN_TRAILERS
from pinggy.http.head import OF_THE_VISITOR, parse_request, parse_response
from pinggy.http.rewrite import Visit, request_for_server, response_for_visitor, response_from_peer
from pinggy.http.write import request_head, response_head
from pinggy.tunnel.arguments import parse_policy
from pinggy.tunnel.policy import HeaderAction, HeaderRule, Policy

VISIT = Visit(address="192.0.2.7", secure=True)
PLAIN = ("x:noreverseproxy",)


def onward(
    *headers: str, words: tuple[str, ...] = PLAIN, line: str = "GET /a HTTP/1.1", visit: Visit = VISIT
) -> list[str]:
    """The lines that the local server reads, without the empty one."""
    head = parse_request("\r\n".join([line, *headers, "", ""]).encode("latin-1"))
    data = request_head(head, request_for_server(head, parse_policy(words), visit)).decode("latin-1")
    assert data.endswith("\r\n\r\n")
    return data[:-4].split("\r\n")


def test_a_head_passes_in_its_order_and_spelling() -> None:
    assert onward("host: x", "ACCEPT: *", "accept: b", "X-E: \xe9") == [
        "GET /a HTTP/1.1",
        "host: x",
        "ACCEPT: *",
        "accept: b",
        "X-E: \xe9",
    ]


@pytest.mark.parametrize(
    "header",
    [
        "Keep-Alive: 5",
        "Proxy-Connection: x",
        "TE: trailers",
        "Connection: keep-alive",
        "Upgrade: websocket",
        "Forwarded: for=1.2.3.4",
        "X-Forwarded-For: 1.2.3.4",
        "x-forwarded-host: evil",
        "X-FORWARDED-PROTO: http",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: //evil",
        "X-Forwarded-Scheme: https",
        "X-Forwarded-Server: evil",
        "X-Forwarded-Ssl: on",
        "X-Pinggy-Url: http://evil/",
        "X_Forwarded_For: 1.2.3.4",
        "X-Forwarded_Proto: http",
        "Transfer_Encoding: chunked",
        "Content_Length: 5",
        "HOST_: evil\r\nConnection: host_",
    ],
)
def test_headers_that_do_not_pass(header: str) -> None:
    assert onward("Host: x", header) == ["GET /a HTTP/1.1", "Host: x"]


def test_what_is_said_of_a_visitor_does_not_come_in_his_trailers_either() -> None:
    assert {name.encode() for name in OF_THE_VISITOR} <= NOT_IN_TRAILERS


def test_headers_that_connection_names_do_not_pass() -> None:
    assert onward("Host: x", "Connection: close, A", "a: 1", "B: 2") == ["GET /a HTTP/1.1", "Host: x", "B: 2"]


def test_connection_cannot_take_away_host_and_length() -> None:
    lines = onward("Host: x", "Connection: Host, Content-Length", "Content-Length: 5", line="POST / HTTP/1.1")
    assert lines == ["POST / HTTP/1.1", "Host: x", "Content-Length: 5"]


def test_an_upgrade_passes() -> None:
    lines = onward("Host: x", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k")
    assert lines == ["GET /a HTTP/1.1", "Host: x", "Sec-WebSocket-Key: k", "Connection: Upgrade", "Upgrade: websocket"]


def test_an_upgrade_to_http_2_does_not() -> None:
    lines = onward("Host: x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    assert lines == ["GET /a HTTP/1.1", "Host: x"]


def test_chunks_are_announced_as_they_come() -> None:
    lines = onward("Host: x", "Transfer-Encoding: Chunked", "Trailer: A", line="POST / HTTP/1.1")
    assert lines == ["POST / HTTP/1.1", "Host: x", "Trailer: A", "Transfer-Encoding: chunked"]


def test_a_request_of_http_1_0_goes_on_as_1_1_without_what_it_could_not_read() -> None:
    lines = onward("Host: x", "Expect: 100-continue", "Connection: keep-alive", line="GET / HTTP/1.0")
    assert lines == ["GET / HTTP/1.1", "Host: x"]


# -- about the visitor ------------------------------------------------------------------------------------------------


def test_the_visitor_is_told_of() -> None:
    assert onward("Host: x.a.example:7443", words=()) == [
        "GET /a HTTP/1.1",
        "Host: x.a.example:7443",
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Host: x.a.example:7443",
        "X-Forwarded-Proto: https",
        'Forwarded: for=192.0.2.7;host="x.a.example:7443";proto=https',
    ]


def test_an_ipv6_visitor_is_quoted() -> None:
    lines = onward("Host: x", words=(), visit=Visit(address="2001:db8::1", secure=False))
    assert "X-Forwarded-For: 2001:db8::1" in lines
    assert 'Forwarded: for="[2001:db8::1]";host=x;proto=http' in lines


def test_xff_in_a_header_of_choice() -> None:
    lines = onward("Host: x", "cf-connecting-ip: 1.2.3.4", words=(*PLAIN, "x:xff:CF-Connecting-IP"))
    assert lines == ["GET /a HTTP/1.1", "Host: x", "CF-Connecting-IP: 192.0.2.7"]


def test_xff_is_said_once() -> None:
    assert [line for line in onward("Host: x", words=("x:xff",)) if "X-Forwarded-For" in line] == [
        "X-Forwarded-For: 192.0.2.7"
    ]
    assert onward("Host: x", words=(*PLAIN, "x:xff"))[-1] == "X-Forwarded-For: 192.0.2.7"


@pytest.mark.parametrize("spoof", ["X-Real-IP", "X_Real-IP", "x_real_ip", "X-Real_IP"])
@pytest.mark.parametrize("name", ["X-Real-IP", "X_Real_IP"])
def test_nobody_else_says_what_xff_says(name: str, spoof: str) -> None:
    lines = onward("Host: x", f"{spoof}: 1.2.3.4", words=(*PLAIN, f"x:xff:{name}"))
    assert lines == ["GET /a HTTP/1.1", "Host: x", f"{name}: 192.0.2.7"]


def test_the_full_url() -> None:
    lines = onward("Host: x:7443", "x-pinggy-url: http://evil/", words=(*PLAIN, "x:fullurl"), line="GET /a?b HTTP/1.1")
    assert lines[2:] == ["X-Pinggy-Url: https://x:7443/a?b"]


# -- rules ------------------------------------------------------------------------------------------------------------


def test_rules_work_in_their_order() -> None:
    words = (*PLAIN, "a:A:1", "a:A:2", "r:B", "u:C:new", "a:B:back", "u:A:last", "a:A:more: it")
    assert onward("Host: x", "B: old", "c: old", "C: older", "D: d", words=words) == [
        "GET /a HTTP/1.1",
        "Host: x",
        "D: d",
        "C: new",
        "B: back",
        "A: last",
        "A: more: it",
    ]


@pytest.mark.parametrize("spoof", ["X-User", "x_user", "X_USER"])
@pytest.mark.parametrize("name", ["X-User", "X_User"])
def test_what_cgi_would_take_for_a_header_goes_with_it(name: str, spoof: str) -> None:
    assert onward("Host: x", f"{spoof}: root", words=(*PLAIN, f"r:{name}")) == ["GET /a HTTP/1.1", "Host: x"]
    lines = onward("Host: x", f"{spoof}: root", "X_Use: r", words=(*PLAIN, f"u:{name}:nobody"))
    assert lines == ["GET /a HTTP/1.1", "Host: x", "X_Use: r", f"{name}: nobody"]


def test_the_last_host_wins_and_keeps_its_place() -> None:
    lines = onward("A: b", "Host: x", words=("u:Host:first", "u:host:localhost:8000"))
    assert lines[1:3] == ["A: b", "Host: localhost:8000"]
    assert "X-Forwarded-Host: x" in lines


def test_rules_reach_what_is_said_about_the_visitor() -> None:
    assert not [line for line in onward("Host: x", words=("r:Forwarded",)) if line.startswith("Forwarded")]


@pytest.mark.parametrize("action", HeaderAction)
def test_no_rule_reaches_the_framing(action: HeaderAction) -> None:
    head = parse_request(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    rules = tuple(HeaderRule(action, name, "7") for name in ("Content-Length", "Transfer-Encoding", "Connection"))
    headers = request_for_server(head, Policy(headers=rules, reverse_proxy=False), VISIT)
    assert request_head(head, headers) == b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize("action", [HeaderAction.ADD, HeaderAction.REMOVE])
def test_there_is_always_one_host(action: HeaderAction) -> None:
    head = parse_request(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    policy = Policy(headers=(HeaderRule(action, "Host", "y"),), reverse_proxy=False)
    assert request_head(head, request_for_server(head, policy, VISIT)) == b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_credential_that_was_for_us_is_not_passed_on() -> None:
    header = "Authorization: Bearer key"
    assert header in onward("Host: x", header)
    assert header not in onward("Host: x", header, words=(*PLAIN, "k:key"))
    lines = onward("Host: x", header, words=(*PLAIN, "k:key", "a:Authorization:Bearer theirs"))
    assert lines[2:] == ["Authorization: Bearer theirs"]


def test_a_preflight_passes_untouched() -> None:
    head = parse_request(
        b"OPTIONS / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nOrigin: http://y\r\n"
        b"Access-Control-Request-Method: PUT\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: a\r\n\r\n"
    )
    policy = parse_policy(("x:passpreflight", "k:key", "u:Origin:z", "u:Host:z", "x:fullurl", "x:xff:X-Real-IP"))
    assert request_head(head, request_for_server(head, policy, VISIT, preflight=True)) == (
        b"OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\nAccess-Control-Request-Method: PUT\r\n"
        b"Authorization: a\r\n\r\n"
    )


# -- responses --------------------------------------------------------------------------------------------------------


def back(
    head: str, *words: str, chunked: bool = False, connection: str | None = None, method: str = "GET"
) -> list[str]:
    parsed = parse_response(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n", method)
    headers = response_for_visitor(parsed, parse_policy(words), "a.example")
    data = response_head(parsed, headers, chunked=chunked, connection=connection).decode("latin-1")
    assert data.endswith("\r\n\r\n")
    return data[:-4].split("\r\n")


def test_a_response_passes_in_its_order_and_spelling() -> None:
    assert back("HTTP/1.0 200 F\xefne\nset-cookie: a\nSet-Cookie: b\nServer: c\nContent-Length: 1") == [
        "HTTP/1.1 200 F\xefne",
        "set-cookie: a",
        "Set-Cookie: b",
        "Server: c",
        "Content-Length: 1",
    ]


def test_the_local_servers_connection_is_its_own() -> None:
    head = "HTTP/1.1 200 OK\nConnection: close, A, Content-Length\nKeep-Alive: 5\nA: b\nUpgrade: h2c\nContent-Length: 1"
    assert back(head) == ["HTTP/1.1 200 OK", "Content-Length: 1"]
    assert back(head, connection="close") == ["HTTP/1.1 200 OK", "Content-Length: 1", "Connection: close"]


def test_chunks_are_announced_only_where_they_are_sent() -> None:
    head = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked"
    assert back(head, chunked=True) == ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    assert back(head) == ["HTTP/1.1 200 OK"]


def test_a_change_of_protocol() -> None:
    assert back("HTTP/1.1 101 Go\nUpgrade: websocket\nConnection: upgrade\nSec-WebSocket-Accept: x") == [
        "HTTP/1.1 101 Go",
        "Sec-WebSocket-Accept: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
    ]
    head = "HTTP/1.1 426 Upgrade Required\nUpgrade: a\nConnection: upgrade\nContent-Length: 0"
    assert back(head, connection="close")[2:] == ["Upgrade: a", "Connection: close, Upgrade"]


def test_a_response_without_content_has_no_length() -> None:
    assert back("HTTP/1.1 204 No Content\nContent-Length: 0\nTransfer-Encoding: chunked".rpartition("\n")[0]) == [
        "HTTP/1.1 204 No Content"
    ]
    assert back("HTTP/1.1 304 Not Modified\nContent-Length: 7")[1:] == ["Content-Length: 7"]


def test_the_client_s_rules_come_last_but_for_the_connection_s() -> None:
    words = ("R:Server", "A:X-Frame-Options:DENY", "U:Content-Type:text/plain")
    head = "HTTP/1.1 200 OK\nserver: a\nContent-Type: text/html\nConnection: close\nContent-Length: 1"
    assert back(head, *words, connection="close") == [
        "HTTP/1.1 200 OK",
        "Content-Length: 1",
        "X-Frame-Options: DENY",
        "Content-Type: text/plain",
        "Connection: close",
    ]


def test_rules_are_for_the_last_response_and_not_for_those_before() -> None:
    assert back("HTTP/1.1 103 Early Hints\nLink: a", "A:X:y", "R:Link") == ["HTTP/1.1 103 Early Hints", "Link: a"]
    assert back("HTTP/1.1 101 Go\nUpgrade: a\nConnection: upgrade", "A:X:y")[1] == "X: y"


def test_a_cookie_is_the_tunnel_s_own() -> None:
    head = "HTTP/1.1 {status}\nSet-Cookie: a=b; Domain=.A.example; Path=/\nset-cookie: c=d; Domain=x.a.example"
    for status in ("200 OK", "404 Not Found", "103 Early Hints"):
        assert back(head.format(status=status))[1:] == [
            "Set-Cookie: a=b; Path=/",
            "set-cookie: c=d; Domain=x.a.example",
        ]
    assert back("HTTP/1.1 200 OK\nA: b", "A:Set-Cookie:a=b; Domain=a.example")[1:] == ["A: b", "Set-Cookie: a=b"]
    assert back("HTTP/1.1 200 OK\nConnection: Set-Cookie\nSet-Cookie: a=b") == ["HTTP/1.1 200 OK"]


def test_what_another_edge_has_seen_to_passes_as_it_is() -> None:
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Domain=a.example\r\nKeep-Alive: 5\r\nA: b\r\n\r\n"
    assert response_from_peer(parse_response(head, "GET")) == [("Set-Cookie", "a=b; Domain=a.example"), ("A", "b")]
