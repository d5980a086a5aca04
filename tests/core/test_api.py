"""
The HTTP side against the wire itself: who may call, what is refused, and that nothing grows.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from pinggy.settings import Secret
from pinggy.wire import paths
from pinggy.wire.codec import LONGEST_BODY
from pinggy.wire.messages import Register
from tests.support.cores import KEY, OverHttp
from tests.support.postgres import execute

asynchronous = pytest_twisted.ensureDeferred


@pytest_twisted.async_yield_fixture
async def core(database: Secret) -> AsyncIterator[OverHttp]:
    core = await OverHttp.start(database)
    yield core
    await core.stop()


async def call(core: OverHttp, method: str, path: str, body: Any = None, key: str = KEY.reveal()) -> tuple[int, Any]:
    """Status and JSON of one call, on a connection of its own."""
    response = await treq.request(
        method,
        core.service.url + path,
        data=body if isinstance(body, bytes) else json.dumps(body).encode(),
        headers=Headers({"Authorization": [f"Bearer {key}"]} if key else {}),
        persistent=False,
    )
    assert response.headers.getRawHeaders("Content-Type") == ["application/json"]
    return response.code, await response.json()


class Raw(Protocol):
    """Sends bytes by hand, and keeps what comes until the other side closes."""

    def __init__(self) -> None:
        self.received = b""
        self.closed: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed.callback(self.received)


async def connect(core: OverHttp) -> tuple[Raw, Any]:
    raw = await connectProtocol(HostnameEndpoint(reactor, "127.0.0.1", core.service.port), Raw())
    return raw, raw.transport


@asynchronous
async def test_health_needs_no_key(core: OverHttp) -> None:
    assert await call(core, "GET", paths.HEALTHZ, key="") == (200, {"ok": True})
    assert await call(core, "GET", paths.READYZ, key="") == (200, {"ok": True})


@asynchronous
async def test_every_other_path_needs_the_right_secret(core: OverHttp) -> None:
    await core.edge("local")
    edges_secret = "the secret of the edge local"
    for path in (paths.REGISTER, paths.IDENTIFY, paths.AUTHORIZE, paths.LIVE, paths.RENEW, paths.RELEASE, paths.ORDERS):
        for key in ("", "wrong", "\u00e4", KEY.reveal()):
            status, said = await call(core, "POST", path, {}, key)
            assert (status, said["code"]) == (401, "not-authentic"), path
        assert (await call(core, "POST", path, {}, edges_secret))[0] == 400
    for path in (paths.ACCOUNTS, paths.TOKENS, paths.KEYS, paths.NAMES, paths.PORTS, paths.EDGES, paths.TUNNELS):
        for key in ("", "wrong", edges_secret):
            assert (await call(core, "GET", path, None, key))[0] == 401, path
            assert (await call(core, "DELETE", path + "/x", None, key))[0] in (401, 404), path
        assert (await call(core, "GET", path))[0] == 200
    for path in (paths.ZONE, paths.ZONE_CHECK, paths.ZONE_MEND, paths.GRANT_KEY):
        method = "POST" if path == paths.ZONE_MEND else "GET"
        for key in ("", "wrong", edges_secret):
            assert (await call(core, method, path, None, key))[0] == 401, path


@asynchronous
async def test_what_should_stand_in_the_zone_is_said(core: OverHttp) -> None:
    edge = await core.edge("e1", "eu")
    await edge.register(Register(instance="i"))
    status, said = await call(core, "GET", paths.ZONE)
    assert (status, said["domain"]) == (200, "a.example")
    assert [(row["name"], row["kind"], row["content"]) for row in said["rows"]] == [("eu.a.example", "A", "127.0.0.1")]
    nothing = {"servers": [], "differences": [], "mended": False}
    assert await call(core, "GET", paths.ZONE_CHECK) == (200, nothing)
    assert await call(core, "POST", paths.ZONE_MEND) == (200, nothing)
    assert (await call(core, "GET", paths.ZONE_MEND))[0] == 405
    assert (await call(core, "GET", paths.GRANT_KEY))[0] == 404


@asynchronous
async def test_edges_that_show_different_host_keys_are_named(core: OverHttp) -> None:
    same, other = "SHA256:" + "A" * 43, "SHA256:" + "B" * 43
    us, eu, ap = [await core.edge(name, name) for name in ("us", "eu", "ap")]
    for edge in (us, eu, ap):
        await edge.register(Register(instance="i", host_keys=(other, same) if edge is us else (same, other)))
    assert await call(core, "GET", paths.READYZ, key="") == (200, {"ok": True})
    await ap.register(Register(instance="i", host_keys=(other,)))
    status, said = await call(core, "GET", paths.READYZ, key="")
    assert (status, said["code"]) == (503, "host-keys-differ")
    assert f"ap: {other}" in said["text"]
    assert f"eu, us: {same} {other}" in said["text"]
    await core.operator.remove_edge("ap")
    assert (await call(core, "GET", paths.READYZ, key=""))[0] == 200


@asynchronous
async def test_an_edge_that_was_removed_is_nobody(core: OverHttp) -> None:
    edge = await core.edge("local")
    await core.operator.remove_edge("local")
    assert (await call(core, "POST", paths.REGISTER, {}, "the secret of the edge local"))[0] == 401
    await edge.close()


@asynchronous
async def test_unknown_paths_and_methods_are_refused_in_json(core: OverHttp) -> None:
    for path in ("/", "/v1", "/v2/accounts", "/v1/edge", "/v1/accounts/", "/v1/accounts/ann", "/v1/names/a/b", "/%ff"):
        status, said = await call(core, "GET", path)
        assert (status, said["code"]) in ((404, "not-found"), (405, "method-not-allowed")), path
    for method, path in (("PUT", paths.NAMES), ("GET", paths.RENEW), ("POST", paths.HEALTHZ), ("BREW", paths.EDGES)):
        status, said = await call(core, method, path)
        assert (status, said["code"]) == (405, "method-not-allowed")


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"null", b"\xff", b"{}", b'{"name": 1}', b"[" * 100_000])
@asynchronous
async def test_nonsense_is_a_bad_request(core: OverHttp, body: bytes) -> None:
    status, said = await call(core, "POST", paths.ACCOUNTS, body)
    assert (status, said["code"]) == (400, "malformed-message")


@asynchronous
async def test_a_body_that_says_it_is_too_long_is_refused_before_it_comes(core: OverHttp) -> None:
    raw, transport = await connect(core)
    transport.write(f"POST {paths.RENEW} HTTP/1.1\r\nHost: x\r\nContent-Length: {LONGEST_BODY + 1}\r\n\r\n".encode())
    answer = await raw.closed
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too-long"


@asynchronous
async def test_a_chunked_body_that_turns_out_too_long_is_refused_when_it_does(core: OverHttp) -> None:
    raw, transport = await connect(core)
    transport.write(f"POST {paths.RENEW} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for _ in range(LONGEST_BODY // 0x10000 + 2):
        transport.write(chunk)
    answer = await raw.closed
    assert answer.startswith(b"HTTP/1.1 413 ")


@asynchronous
async def test_a_head_that_never_ends_is_refused(core: OverHttp) -> None:
    raw, transport = await connect(core)
    transport.write(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000)
    assert (await raw.closed).startswith((b"HTTP/1.1 4", b""))
    assert (await call(core, "GET", paths.HEALTHZ))[0] == 200


@asynchronous
async def test_garbage_is_no_trouble(core: OverHttp) -> None:
    raw, transport = await connect(core)
    transport.write(b"\x16\x03\x01\x02\x00\x01\x00" + b"\0" * 200 + b"\r\n\r\n")
    transport.loseConnection()
    await raw.closed
    assert (await call(core, "GET", paths.HEALTHZ))[0] == 200


@asynchronous
async def test_the_operators_day(core: OverHttp) -> None:
    assert (await call(core, "POST", paths.ACCOUNTS, {"name": "ann"}))[1]["name"] == "ann"
    assert (await call(core, "POST", paths.ACCOUNTS, {"name": "ann"}))[0] == 409
    assert (await call(core, "POST", paths.ACCOUNTS, {"name": "../x"}))[0] == 400
    status, token = await call(core, "POST", paths.TOKENS, {"account": "ann", "comment": "laptop"})
    assert status == 200
    assert token["token"].startswith(f"pgy-{token['prefix']}")
    assert (await call(core, "POST", paths.TOKENS, {"account": "nobody"}))[0] == 404
    assert (await call(core, "POST", paths.TOKENS, {"account": "nul\0"}))[0] == 404
    (row,) = (await call(core, "GET", paths.TOKENS + "?account=ann"))[1]["tokens"]
    assert (row["prefix"], row["comment"], row["revoked"]) == (token["prefix"], "laptop", None)
    assert (await call(core, "GET", paths.TOKENS + "?account=bob"))[1]["tokens"] == []
    assert (await call(core, "DELETE", f"{paths.TOKENS}/{token['prefix']}"))[0] == 200
    assert (await call(core, "DELETE", f"{paths.TOKENS}/{token['prefix']}"))[0] == 200
    assert (await call(core, "DELETE", f"{paths.TOKENS}/none%00"))[0] == 404
    assert (await call(core, "GET", paths.TOKENS))[1]["tokens"][0]["revoked"].endswith("Z")
    assert (await call(core, "POST", paths.NAMES, {"account": "ann", "name": "blog"}))[1]["name"] == "blog"
    assert (await call(core, "POST", paths.NAMES, {"account": "ann", "name": "blog"}))[0] == 409
    assert (await call(core, "POST", paths.NAMES, {"account": "ann", "name": "www"}))[0] == 403
    assert (await call(core, "DELETE", f"{paths.NAMES}/blog"))[0] == 200
    assert (await call(core, "DELETE", f"{paths.NAMES}/blog"))[0] == 404
    assert (await call(core, "POST", paths.PORTS, {"account": "ann", "port": 20001}))[1]["port"] == 20001
    assert 20000 <= (await call(core, "POST", paths.PORTS, {"account": "ann"}))[1]["port"] <= 29999
    assert (await call(core, "POST", paths.PORTS, {"account": "ann", "port": 20001}))[0] == 409
    assert (await call(core, "POST", paths.PORTS, {"account": "ann", "port": 22}))[0] == 400
    assert (await call(core, "DELETE", f"{paths.PORTS}/20001"))[0] == 200
    assert (await call(core, "DELETE", f"{paths.PORTS}/99999"))[0] == 404
    edge = {"name": "eu-1", "region": "eu", "addresses": ["192.0.2.7", "2001:db8::7"]}
    status, added = await call(core, "POST", paths.EDGES, edge)
    assert (status, added["region"], len(added["secret"]) > 40) == (200, "eu", True)
    assert (await call(core, "POST", paths.EDGES, edge))[0] == 409
    assert (await call(core, "POST", paths.EDGES, {**edge, "name": "x", "addresses": ["nowhere"]}))[0] == 400
    assert (await call(core, "POST", paths.REGISTER, {"instance": "i"}, added["secret"]))[1]["edge"] == "eu-1"
    assert (await call(core, "GET", paths.EDGES))[1]["edges"][0]["addresses"] == edge["addresses"]
    assert (await call(core, "POST", f"{paths.EDGES}/{edge['name']}/drain", {}))[0] == 200
    assert (await call(core, "GET", paths.EDGES))[1]["edges"][0]["draining"]
    assert (await call(core, "POST", f"{paths.EDGES}/{edge['name']}/drain", {}, ""))[0] == 401
    assert (await call(core, "POST", f"{paths.EDGES}/{edge['name']}/sink", {}))[0] == 404
    assert (await call(core, "POST", f"{paths.EDGES}/{edge['name']}/drain/more", {}))[0] == 404
    assert (await call(core, "GET", f"{paths.EDGES}/{edge['name']}/drain"))[0] == 405
    assert (await call(core, "GET", paths.ACCOUNTS))[1]["accounts"][0]["tokens"] == 0


@asynchronous
async def test_a_key_is_taken_away_by_its_fingerprint_slashes_and_all(core: OverHttp) -> None:
    await core.operator.ensure_account("ann")
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ann@home"
    status, key = await call(core, "POST", paths.KEYS, {"account": "ann", "line": line})
    assert (status, key["type"], key["comment"]) == (200, "ssh-ed25519", "ann@home")
    assert (await call(core, "POST", paths.KEYS, {"account": "ann", "line": line}))[0] == 409
    quoted = key["fingerprint"].replace("/", "%2F").replace("+", "%2B").replace(":", "%3A")
    assert (await call(core, "DELETE", f"{paths.KEYS}/{quoted}"))[0] == 200
    assert (await call(core, "DELETE", f"{paths.KEYS}/SHA256%3A{'%2F' * 43}"))[1]["text"].count("/") == 43


@asynchronous
async def test_a_fault_is_logged_and_not_told(core: OverHttp, database: Secret, nothing_is_lost: list[str]) -> None:
    execute(database, "ALTER TABLE accounts RENAME TO gone")
    try:
        status, said = await call(core, "GET", paths.ACCOUNTS)
    finally:
        execute(database, "ALTER TABLE gone RENAME TO accounts")
    assert (status, said["code"]) == (500, "fault")
    assert "accounts" not in said["text"]
    (logged,) = nothing_is_lost
    assert "LedgerError" in logged
    nothing_is_lost.clear()
