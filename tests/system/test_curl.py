"""
What people do with curl, over HTTP/1.1 and HTTP/2, through real ssh: as it would be at the local server itself.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.local_servers import WebServer
from tests.support.openssh import ssh
from tests.support.public import ask, curl
from tests.support.service import PATIENCE, Service
from tests.support.site import FILE, Site, site

VERSIONS = ("--http1.1", "--http2")


@pytest.fixture(scope="module")
def own_site() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture(scope="module")
def urls(service: Service, own_site: Site) -> Iterator[dict[str, str]]:
    with ssh(service, "-T", f"-R0:localhost:{own_site.port}") as client:
        yield {scheme: client.url(scheme) for scheme in ("http", "https")}


@pytest.fixture
def url(urls: dict[str, str]) -> str:
    return urls["https"]


@contextmanager
def running_curl(service: Service, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """One that is spoken to while it runs; what it receives it prints at once."""
    with subprocess.Popen(
        ["curl", "--silent", "--show-error", "--no-buffer", "--cacert", str(service.ca), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def heads(done: subprocess.CompletedProcess[bytes]) -> tuple[dict[str, str], str]:
    """Of a response with --include: its headers, and what follows them."""
    head, _, rest = done.stdout.decode().partition("\r\n\r\n")
    lines = head.split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, rest


# -- bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_parts_packed_and_heads_alone_come_as_they_are_asked_for(service: Service, url: str, version: str) -> None:
    headers, part = heads(curl(service, version, "--include", "--range", "100-199", f"{url}/file"))
    assert headers["content-range"] == f"bytes 100-199/{len(FILE)}"
    assert part.encode() == FILE[100:200]
    headers, whole = heads(curl(service, version, "--include", "--compressed", f"{url}/file"))
    assert headers["content-encoding"] == "gzip"
    assert int(headers["content-length"]) < len(FILE)
    assert whole.encode() == FILE
    headers, nothing = heads(curl(service, version, "--head", f"{url}/file"))
    assert headers["content-length"] == str(len(FILE))
    assert nothing == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_trailers_are_printed(service: Service, url: str, tmp_path: Path, version: str) -> None:
    printed = tmp_path / "heads"
    done = curl(service, version, "--dump-header", str(printed), f"{url}/trailers")
    assert done.stdout == b"whole"
    assert printed.read_text().lower().rstrip().endswith("x-sum: 5")


def test_old_ones_get_what_they_can_read(service: Service, urls: dict[str, str]) -> None:
    for url in urls.values():
        done = curl(service, "--http1.0", "--include", f"{url}/trailers")
        headers, content = heads(done)
        assert "transfer-encoding" not in headers
        assert content == "whole"


def test_one_who_would_speak_http2_in_the_clear_is_served_in_http11(service: Service, web: WebServer) -> None:
    """curl asks for h2c by Upgrade; what would carry requests past the policy is not passed on."""
    with ssh(service, "-T", f"-R0:localhost:{web.port}") as client:
        headers = ask(service, client.url("http"), "--http2")["headers"]
    assert not {"upgrade", "connection", "http2-settings"} & set(headers)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_slow_reader_and_an_upload_from_a_pipe_get_all_of_it(service: Service, url: str, version: str) -> None:
    got = curl(service, version, "--limit-rate", "300K", f"{url}/file").stdout
    assert got == FILE
    assert curl(service, version, "--upload-file", "-", f"{url}/echo", data=FILE * 10).stdout == FILE * 10


# -- at once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [*VERSIONS, "--http1.0"])
def test_each_piece_is_printed_before_the_next_is_sent(
    service: Service, url: str, own_site: Site, version: str
) -> None:
    with running_curl(service, version, f"{url}/events") as process:
        assert process.stdout is not None
        for number in range(5):
            piece = f"data: {number}\n\n".encode()
            own_site.pieces.put(piece)
            assert process.stdout.read(len(piece)) == piece
        own_site.pieces.put(b"")
        assert process.wait(PATIENCE) == 0
    own_site.asked_for_pieces.get(timeout=PATIENCE)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_typed_comes_back_while_the_upload_runs(service: Service, url: str, version: str) -> None:
    words = ("--header", "Expect:", "--upload-file", ".", f"{url}/echo")
    with running_curl(service, version, *words) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(5):
            piece = f"piece {number}".encode()
            process.stdin.write(piece)
            assert process.stdout.read(len(piece)) == piece
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


# -- connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_one_connection_does_for_several_requests(service: Service, url: str, version: str) -> None:
    words = ("--output", "/dev/null", "--write-out", "%{num_connects} ")
    got = curl(service, version, *words, *(word for _ in range(3) for word in ("--output", "/dev/null", f"{url}/file")))
    assert got.stdout.split() == [b"1", b"0", b"0"]


@pytest.mark.parametrize(("scheme", "version"), [("http", "--http1.1"), ("https", "--http1.1"), ("https", "--http2")])
@pytest.mark.parametrize("source", ["file", "pipe"])
def test_too_much_is_refused_while_it_is_sent(
    service: Service, web: WebServer, tmp_path: Path, scheme: str, version: str, source: str
) -> None:
    much = bytes(4 * 1024 * 1024)
    body = tmp_path / "much"
    body.write_bytes(much)
    with ssh(service, "-T", f"-R0:localhost:{web.port}", command=("x:limit:100k",)) as client:
        words = ("--write-out", "\n%{http_code}", "--upload-file", str(body) if source == "file" else "-")
        got = curl(service, version, *words, f"{client.url(scheme)}/digest", data=much)
    sentence, status = got.stdout.decode().rsplit("\n", 1)
    assert status == "413"
    assert "100 KiB" in sentence
