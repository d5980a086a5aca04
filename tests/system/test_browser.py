"""
A real browser opens a real site through a tunnel: it asks, uploads, listens and talks as pages do. What the site sends
slowly is handed out by the tests, the next piece only when the page has told of the last.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pinggy.edge.local_ca import LocalCertificate
from tests.support.chromium import Browser, Tab, chromium
from tests.support.local_servers import own_certificate, read_until, server_context, tcp_server
from tests.support.openssh import Client, ssh
from tests.support.service import PATIENCE, Service
from tests.support.site import Site, site

# next(): a promise of the next thing that `tell` has been told, in their order.
LISTEN = """(() => {
  const told = [], asked = [];
  window.tell = what => asked.length ? asked.shift()(what) : told.push(what);
  window.next = () => told.length ? Promise.resolve(told.shift()) : new Promise(resolve => asked.push(resolve));
})()"""


@pytest.fixture(scope="module")
def own_site() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> LocalCertificate:
    """For the same names as the service's, of a local server that has TLS to itself."""
    return own_certificate(tmp_path_factory.mktemp("own"), "a.localhost")


@pytest.fixture(scope="module")
def browser(service: Service, own: LocalCertificate) -> Iterator[Browser]:
    with chromium(service.certificate, own.certificate) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Service, own_site: Site) -> Iterator[Client]:
    with tunnel(service, own_site) as running:
        yield running


@pytest.fixture(scope="module")
def urls(client: Client) -> dict[str, str]:
    return {scheme: client.url(scheme) for scheme in ("http", "https")}


@pytest.fixture
def tab(browser: Browser, urls: dict[str, str]) -> Tab:
    return opened(browser, urls["https"])


@contextmanager
def tunnel(service: Service, own_site: Site, *words: str) -> Iterator[Client]:
    with ssh(service, "-T", f"-R0:localhost:{own_site.port}", command=words) as client:
        yield client


def opened(browser: Browser, url: str) -> Tab:
    tab = browser.tab()
    tab.open(f"{url}/")
    assert tab.value("document.title") == "A site"
    tab.value(LISTEN)
    return tab


# -- fetch -------------------------------------------------------------------------------------------------------


def test_a_page_asks_for_many_things_at_once_over_one_connection(tab: Tab, urls: dict[str, str]) -> None:
    targets = tab.value("""Promise.all([...Array(20).keys()].map(async number => {
      const response = await fetch(`/asked/${number}`);
      return (await response.json()).target;
    }))""")
    assert targets == [f"/asked/{number}" for number in range(20)]
    assert tab.value("[...new Set(performance.getEntries().map(each => each.nextHopProtocol))].join()").startswith("h2")
    assert len(set(tab.connections.values())) == 1
    assert set(tab.statuses.values()) == {200}
    assert tab.complaints == []


def test_an_upload_tells_of_its_progress_and_comes_whole(tab: Tab, own_site: Site) -> None:
    size = 10 * 1024 * 1024
    own_site.may_read.clear()
    tab.value(f"""(() => {{
      const request = window.request = new XMLHttpRequest(), seen = window.seen = [];
      const content = new Uint8Array({size}).map((_, place) => place % 251);
      request.upload.onprogress = event => {{
        seen.push(event.loaded);
        if (seen.length == 1) tell("begun");
      }};
      request.onload = () => tell(request.responseText);
      request.open("POST", "/upload");
      request.send(content);
    }})()""")
    # It has begun though nothing of it is read, and cannot have ended: most of it is still with the browser.
    assert tab.value("next()") == "begun"
    assert tab.value("seen[0]") < size
    own_site.may_read.set()
    content = bytes(range(251)) * (size // 251 + 1)
    assert json.loads(tab.value("next()")) == {"size": size, "digest": hashlib.sha256(content[:size]).hexdigest()}
    seen = tab.value("seen")
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == size


def test_each_piece_of_a_slow_upload_is_there_before_the_next_is_sent(tab: Tab, own_site: Site) -> None:
    tab.value("""(() => {
      const encoder = new TextEncoderStream(), words = {method: "PUT", body: encoder.readable, duplex: "half"};
      window.writer = encoder.writable.getWriter();
      window.answer = fetch("/echo", words).then(response => response.text());
    })()""")
    for number in range(5):
        tab.value(f"writer.write('piece {number} ')")
        assert own_site.received.get(timeout=PATIENCE) == f"piece {number} ".encode()
    assert tab.value("writer.close().then(() => answer)") == "piece 0 piece 1 piece 2 piece 3 piece 4 "


def test_each_piece_of_a_slow_response_is_there_before_the_next_is_sent(tab: Tab, own_site: Site) -> None:
    tab.value("""(async () => {
      const reader = (await fetch("/pieces")).body.pipeThrough(new TextDecoderStream()).getReader();
      window.piece = async () => { const {done, value} = await reader.read(); return done ? "done" : value; };
    })()""")
    for number in range(10):
        own_site.pieces.put(f"piece {number}".encode())
        assert tab.value("piece()") == f"piece {number}"
    own_site.pieces.put(b"")
    assert tab.value("piece()") == "done"
    own_site.asked_for_pieces.get(timeout=PATIENCE)


# -- what goes on: event streams and websockets ------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_each_event_is_there_before_the_next_is_sent_and_the_last_is_remembered(
    browser: Browser, urls: dict[str, str], own_site: Site, scheme: str
) -> None:
    tab = opened(browser, urls[scheme])
    tab.value("""(() => {
      window.source = new EventSource("/events");
      source.onmessage = event => tell(event.lastEventId + event.data);
    })()""")
    assert own_site.asked_for_pieces.get(timeout=PATIENCE) == ""
    for number in range(5):
        own_site.pieces.put(f"retry: 1\nid: {number}\ndata: is here\n\n".encode())
        assert tab.value("next()") == f"{number}is here"
    # It ends: a browser comes back by itself, and says what it has had.
    own_site.pieces.put(b"")
    assert own_site.asked_for_pieces.get(timeout=PATIENCE) == "4"
    own_site.pieces.put(b"id: 5\ndata: is here too\n\n")
    assert tab.value("next()") == "5is here too"
    tab.value("source.close()")
    own_site.pieces.put(b"")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_websocket_echoes_texts_and_bytes_and_closes_from_either_side(
    browser: Browser, urls: dict[str, str], own_site: Site, scheme: str
) -> None:
    tab = opened(browser, urls[scheme])
    tab.value("""(() => {
      window.open_ = () => {
        window.socket = new WebSocket(location.origin.replace("http", "ws") + "/socket");
        socket.binaryType = "arraybuffer";
        socket.onmessage = event => tell(event.data);
        socket.onclose = event => tell([event.code, event.reason, event.wasClean]);
        socket.onopen = () => tell(socket.extensions);
      };
      open_();
    })()""")
    # What makes them smaller is between the two ends, and nobody's business in the middle.
    assert tab.value("next()").startswith("permessage-deflate")
    assert tab.value("socket.send('h\\u00e4llo'), next()") == "h\u00e4llo"
    assert tab.value("socket.send(''), next()") == ""
    assert tab.value("""(async () => {
      const sent = new Uint8Array(1024 * 1024).map((_, place) => (place * place) % 253);
      socket.send(sent);
      const heard = new Uint8Array(await next());
      return sent.length === heard.length && sent.every((byte, place) => byte === heard[place]);
    })()""")
    assert tab.value("socket.close(4002, 'enough'), next()") == [4002, "enough", True]
    assert own_site.closings.get(timeout=PATIENCE) == (4002, "enough")
    assert tab.value("open_(), next().then(() => (socket.send('close 4001 no more'), next()))") == [
        4001,
        "no more",
        True,
    ]
    assert own_site.closings.get(timeout=PATIENCE) == (4001, "no more")


# -- one browser, several tunnels --------------------------------------------------------------------------------


def test_a_cookie_of_one_tunnel_is_not_shown_to_another(
    browser: Browser, service: Service, own_site: Site, tab: Tab, urls: dict[str, str]
) -> None:
    with tunnel(service, own_site) as other:
        own_site.cookies = ("wide=1; Domain=a.localhost; Secure", "own=2; Secure")
        tab.value("fetch('/cookies').then(response => response.text())")
        assert tab.value("fetch('/asked/me').then(r => r.json()).then(it => it.headers.cookie)") == "wide=1; own=2"
        stranger = opened(browser, other.url("https"))
        assert stranger.value("document.cookie") == ""
        assert stranger.value("fetch('/asked/me').then(r => r.json()).then(it => it.headers.cookie)") is None


def ask(tab: Tab, url: str) -> bool:
    """Whether *url* answers the page, which need not be of its tunnel. With cookies: those without have connections of
    their own.
    """
    words = "{mode: 'no-cors', credentials: 'include'}"
    said: bool = tab.value(f"fetch('{url}', {words}).then(r => r.blob()).then(() => true, () => false)")
    return said


def test_tunnels_share_a_connection_and_each_request_meets_its_own_policy(
    service: Service, own_site: Site, tab: Tab, urls: dict[str, str]
) -> None:
    """A browser reuses a connection over HTTP/2 for whatever other host its certificate is for."""
    with tunnel(service, own_site) as other, tunnel(service, own_site, "k:key") as locked:
        expected = {
            f"{urls['https']}/": 200,
            f"{other.url('https')}/asked/other": 200,
            f"{locked.url('https')}/asked/locked": 401,
            f"{urls['https']}/asked/own": 200,
        }
        for url in expected:
            assert ask(tab, url)
    assert tab.statuses == expected
    assert len(set(tab.connections.values())) == 1


def test_where_a_shared_connection_does_not_lead_a_new_one_does(
    service: Service, tab: Tab, own: LocalCertificate, urls: dict[str, str]
) -> None:
    """It is told 421, and asks the tunnel itself, which has TLS of its own."""

    def answer(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(b"HTTP/1.1 203 Mine\r\nContent-Length: 0\r\n\r\n")

    with (
        tcp_server(answer, server_context(own)) as port,
        ssh(service, "-T", f"-R0:localhost:{port}", user="tls") as client,
    ):
        url = client.url("tls").replace("tls://", "https://") + "/"
        assert ask(tab, url)
        assert tab.statuses[url] == 203
        assert tab.connections[url] != tab.connections[f"{urls['https']}/"]


def test_one_whom_another_tunnel_leaves_out_keeps_what_he_has(service: Service, own_site: Site, tab: Tab) -> None:
    """The connection is shared, the whitelist is not."""
    with tunnel(service, own_site, "w:198.51.100.0/24") as closed:
        tab.value("""(async () => {
          const reader = (await fetch("/pieces")).body.pipeThrough(new TextDecoderStream()).getReader();
          window.piece = () => reader.read().then(read => read.value, error => error.name);
        })()""")
        own_site.asked_for_pieces.get(timeout=PATIENCE)
        own_site.pieces.put(b"one")
        assert tab.value("piece()") == "one"
        assert not ask(tab, closed.url("https"))
        own_site.pieces.put(b"two")
        own_site.pieces.put(b"")
        assert tab.value("piece()") == "two"


# -- pages behind a policy ---------------------------------------------------------------------------------------


def test_a_page_with_a_password_opens_with_all_that_belongs_to_it(
    browser: Browser, service: Service, own_site: Site
) -> None:
    with tunnel(service, own_site, "b:ann:tulip") as client:
        url = client.url("https")
        tab = browser.tab()
        tab.open(f"{url}/")
        assert tab.value("document.title") == "401 A password is needed"
        tab.open(f"{url.replace('://', '://ann:tulip@')}/")
        assert tab.value("document.title") == "A site"
        asked = "fetch(location.origin + '/asked/me').then(r => r.json())"
        assert tab.value(f"{asked}.then(it => [it.target, it.headers.authorization])") == ["/asked/me", None]
        assert (
            tab.value("""new Promise(resolve => {
          const socket = new WebSocket(location.origin.replace("http", "ws") + "/socket");
          socket.onopen = () => socket.send("let in");
          socket.onmessage = event => { resolve(event.data); socket.close(); };
          socket.onclose = event => resolve(event.code);
        })""")
            == "let in"
        )
        own_site.closings.get(timeout=PATIENCE)


def test_a_page_asked_for_by_http_comes_by_https(browser: Browser, service: Service, own_site: Site) -> None:
    with tunnel(service, own_site, "x:https") as client:
        http, https = client.url("http"), client.url("https")
        tab = browser.tab()
        tab.open(f"{http}/?a=b#c")
        assert tab.value("[location.href, document.title]") == [f"{https}/?a=b#c", "A site"]
