"""
A gate's GeoIP file against a core, or a PowerDNS, that is not as it should be: what there is stays in place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from pinggy.dns.geo.file import LARGEST, check, compose
from pinggy.gate.config import CoreSettings, GeoSettings
from pinggy.gate.geo import GeoKeeper
from pinggy.settings import Secret, SettingsError
from tests.support.logs import logged
from tests.support.nearest import until
from tests.support.odd_http import CUT, OddHttp, response

asynchronous = pytest_twisted.ensureDeferred
KEY = Secret("the read_key of the gate")
Make = Callable[[Callable[[bytes], bytes]], GeoKeeper]


def keeper(url: str, folder: Path) -> GeoKeeper:
    settings = GeoSettings(file=folder / "places.mmdb", control_dir=folder / "nobody", interval=0.1)
    return GeoKeeper(reactor, CoreSettings(url=url), settings, KEY)


@pytest_twisted.async_yield_fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """A running keeper, whose core answers what it is given."""
    cores: list[OddHttp] = []
    keepers: list[GeoKeeper] = []

    def make(answer: Callable[[bytes], bytes]) -> GeoKeeper:
        cores.append(OddHttp(answer))
        keepers.append(keeper(cores[-1].server("127.0.0.1:9").url, tmp_path))
        keepers[-1].prepare()
        keepers[-1].start()
        return keepers[-1]

    yield make
    for each in keepers:
        await each.stop()
    for core in cores:
        await core.stop()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (response(200, b"GIF89a"), "no database in MaxMind's form"),
        (response(200, b""), "no database in MaxMind's form"),
        (response(503, b"{}"), "HTTP status 503"),
        (response(302, b"", b"Location: http://127.0.0.1:1/"), "HTTP status 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf" + CUT, ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (LARGEST + 1) + b"x" * 1000 + CUT, ""),
        (b"SMTP\r\n\r\n" + CUT, ""),
        (CUT, ""),
    ],
)
@asynchronous
async def test_what_is_no_file_takes_no_files_place(make: Make, tmp_path: Path, answer: bytes, said: str) -> None:
    with logged("pinggy.gate.geo") as lines:
        make(lambda request: answer)
        await until(lambda: bool(lines), lambda: lines)
    assert "the GeoIP file is not renewed" in lines[0]
    assert said in lines[0]
    check(tmp_path / "places.mmdb")
    assert [each.name for each in tmp_path.iterdir()] == ["places.mmdb"]


@asynchronous
async def test_a_powerdns_that_loads_nothing_is_asked_again(make: Make, tmp_path: Path) -> None:
    compose({}, None, tmp_path / "made.mmdb")
    body = (tmp_path / "made.mmdb").read_bytes()
    requests: list[bytes] = []

    def answer(request: bytes) -> bytes:
        requests.append(request)
        return response(304, b"") if b'"one"' in request else response(200, body, b'ETag: "one"')

    with logged("pinggy.gate.geo") as lines:
        make(answer)
        await until(lambda: len(requests) >= 3, lambda: lines)
    assert (tmp_path / "places.mmdb").read_bytes() == body
    assert ["PowerDNS did not load it: pdns_control says: " in line for line in lines] == [True]
    assert b"Authorization: Bearer the read_key of the gate" in requests[0]
    assert b'If-None-Match: "one"' in requests[1]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"zone\.geoip\.file = .* is of no use"):
        keeper("http://127.0.0.1:9", tmp_path / "none").prepare()
