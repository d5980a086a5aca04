"""
Real clients that speak HTTP/2 with the edge, through real ssh.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_servers import BLOCK, WebServer, digest_of
from tests.support.openssh import ssh
from tests.support.public import curl
from tests.support.service import Service


@pytest.fixture(scope="module")
def url(service: Service, web: WebServer) -> Iterator[str]:
    with ssh(service, "-T", f"-R0:localhost:{web.port}") as client:
        yield client.url("https")


def said(service: Service, *words: str) -> str:
    return curl(service, *words).stdout.decode()


def test_curl_chooses_http2_and_gets_what_it_asks_for(service: Service, url: str) -> None:
    got = said(service, url + "/hello", "--http2", "--write-out", "\n%{http_version} %{http_code}")
    assert got.endswith("\n2 200")
    assert '"/hello"' in got


def test_curl_may_choose_http11(service: Service, url: str) -> None:
    assert said(service, url + "/hello", "--http1.1", "--write-out", "\n%{http_version}").endswith("\n1.1")


def test_large_bodies_pass_byte_exact_both_ways(service: Service, url: str, tmp_path: Path) -> None:
    body = tmp_path / "body"
    content = bytes(range(256)) * 40_000
    body.write_bytes(content)
    got = said(service, url + "/digest", "--http2", "--upload-file", str(body))
    assert hashlib.sha256(content).hexdigest() in got


def test_a_large_download_passes_byte_exact(service: Service, url: str) -> None:
    for what in ("bytes", "chunked"):
        got = curl(service, f"{url}/{what}/{160 * BLOCK}", "--http2").stdout
        assert hashlib.sha256(got).hexdigest() == digest_of(160 * BLOCK)


def test_many_requests_over_one_connection(service: Service, url: str) -> None:
    words = ("--http2", "--parallel", "--parallel-max", "50", "--write-out", "%{stderr}%{num_connects} ")
    got = curl(service, *words, *(f"{url}/{number}" for number in range(200)))
    assert sorted(int(number) for number in re.findall(rb'"target": "/([0-9]+)"', got.stdout)) == list(range(200))
    assert got.stderr.split().count(b"0") >= 150


def test_a_page_of_the_edge_is_a_page_over_http2_too(service: Service, url: str) -> None:
    nobody = url.replace("https://", "https://nobody-")
    got = said(service, nobody, "--http2", "-H", "Accept: text/html", "--write-out", "\n%{http_version} %{http_code}")
    assert got.startswith("<!doctype html>")
    assert got.endswith("\n2 404")
