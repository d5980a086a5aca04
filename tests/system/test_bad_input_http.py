"""
The fuzz over TCP: spoilt requests through real ssh, judged by what the local server has received.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from tests.fuzz.mutations import split
from tests.fuzz.oracle import Oracle, Wrong
from tests.fuzz.requests import connection
from tests.fuzz.sockets import Recorder, visit
from tests.support.local_servers import tcp_server
from tests.support.openssh import ssh
from tests.support.public import host
from tests.support.service import Service

CASES = 100


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(1)


@pytest.fixture
def here(service: Service, recorder: Recorder) -> Iterator[tuple[bytes, bytes]]:
    with (
        tcp_server(recorder.serve) as port,
        ssh(service, "-T", f"-R0:localhost:{port}") as one,
        ssh(service, "-T", f"-R0:localhost:{port}") as two,
    ):
        yield host(one.url()).encode(), host(two.url()).encode()


def test_what_reaches_a_local_server_is_what_a_strict_reader_reads(
    service: Service, recorder: Recorder, here: tuple[bytes, bytes]
) -> None:
    for seed in range(CASES):
        chance = Random(seed)
        # The port closes without a word what does not begin as HTTP.
        first = b"GET /first HTTP/1.1\r\nHost: %b\r\n\r\n" % here[seed % 2]
        pieces = split(first + connection(chance, here), chance)
        record = visit(service.http_port, f"127.7.{seed // 250}.{seed % 250 + 1}", pieces)
        record.attempts = recorder.attempts_of(record.address)
        try:
            Oracle(record, here).check()
        except Wrong as wrong:
            servers = {id(each.server): each.server for each in record.attempts}.values()
            local = [(each.said, bytes(each.stream.written)) for each in servers]
            pytest.fail(f"seed {seed}: {wrong}\nsent: {record.sent!r}\nheard: {record.heard!r}\nlocal: {local!r}")
    assert service.failures() == []
