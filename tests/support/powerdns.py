"""
Real PowerDNS servers on loopback: LMDB, the HTTP API, a zone of their own.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pinggy.dns.geo.file import compose
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.settings import Secret
from tests.support.service import PATIENCE, free_port

LOOPBACK = "127.0.0.1"
KEY = Secret("the-api-key-of-the-tests")
_PROGRAM = shutil.which("pdns_server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class PowerDns:
    """
    One server. Its ports and its data stay the same from one `start` to the next. With *geo* it answers by places,
    those of *geo_file*, where nothing is anywhere to begin with.
    """

    def __init__(self, domain: str = "a.example", *, key: Secret = KEY, geo: bool = False) -> None:
        assert _PROGRAM is not None, "pdns_server is not installed: see tests/support/install-programs"
        self.domain = domain
        self.dns_port = free_port()
        self.api_port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="pinggy-powerdns-"))
        self.geo_file = self.folder / "geo" / "places.mmdb"
        self._geo = geo
        if geo:
            self.geo_file.parent.mkdir(mode=0o755)
            compose({}, None, self.geo_file)
        self._key = key
        self._process: subprocess.Popen[str] | None = None
        (self.folder / "pdns.conf").write_text("".join(f"{each}\n" for each in self._settings()))
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)

    def _settings(self) -> Iterator[str]:
        yield "launch=lmdb,geoip" if self._geo else "launch=lmdb"
        if self._geo:
            yield f"geoip-database-files=mmdb:{self.geo_file}"
            yield "enable-lua-records=shared"
            yield "edns-subnet-processing=yes"
            yield "lua-health-checks-interval=1"
        yield f"lmdb-filename={self.folder}/pdns.lmdb"
        # Nothing of a test outlives it: the disk need not hear of it.
        yield "lmdb-sync-mode=nosync"
        yield "lmdb-shards=1"
        yield f"local-address={LOOPBACK}"
        yield f"local-port={self.dns_port}"
        yield "api=yes"
        yield f"api-key={self._key.reveal()}"
        yield "webserver=yes"
        yield f"webserver-address={LOOPBACK}"
        yield f"webserver-port={self.api_port}"
        yield f"webserver-allow-from={LOOPBACK}"
        yield "webserver-loglevel=none"
        yield f"socket-dir={self.folder}"
        yield "write-pid=no"
        yield "security-poll-suffix="
        yield "default-api-rectify=no"
        yield "default-soa-content=ns1.@ hostmaster.@ 1 3600 600 604800 5"
        if os.geteuid() == 0:
            yield "setuid=nobody"
            yield "setgid=nogroup"

    @property
    def server(self) -> PowerDnsServer:
        """As a client without a gate knows it."""
        return PowerDnsServer(
            url=f"http://{LOOPBACK}:{self.api_port}", dns=f"{LOOPBACK}:{self.dns_port}", key=self._key, gate=False
        )

    def start(self) -> None:
        """Returns when it answers."""
        assert _PROGRAM is not None
        self._process = subprocess.Popen(
            [_PROGRAM, f"--config-dir={self.folder}", "--daemon=no", "--guardian=no", "--disable-syslog"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        said: list[str] = []
        for line in self._process.stderr:
            said.append(line)
            if "Creating backend connection" in line or "Done launching threads" in line:
                break
        else:
            raise RuntimeError("PowerDNS does not start:\n" + "".join(said))
        threading.Thread(target=_drain, args=(self._process.stderr,), daemon=True).start()
        self._wait_for_api()

    def _wait_for_api(self) -> None:
        # The webserver listens before the threads are launched; its first answer may come a little later.
        with socket.create_connection((LOOPBACK, self.api_port), timeout=PATIENCE):
            pass

    def make_zone(self, records: Sequence[tuple[str, str, str]] = ()) -> None:
        """The zone with its name server, and *records* of (name, type, content), absolute with the final dot."""
        self.call("DELETE", f"/{self.domain}.", expect=(204, 404))
        self.call(
            "POST",
            "",
            {
                "name": f"{self.domain}.",
                "kind": "Native",
                "nameservers": [f"ns1.{self.domain}."],
                "soa_edit_api": "INCREASE",
                "api_rectify": False,
            },
        )
        self.write([rrset(f"ns1.{self.domain}.", "A", LOOPBACK), *(rrset(*each) for each in records)])

    def write(self, rrsets: Sequence[dict[str, Any]]) -> None:
        """Behind everybody's back."""
        self.call("PATCH", f"/{self.domain}.", {"rrsets": list(rrsets)})

    def call(self, method: str, path: str, body: Any = None, *, expect: Sequence[int] = (200, 201, 204)) -> Any:
        """The API itself, waiting."""
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.api_port}/api/v1/servers/localhost/zones{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": self._key.reveal(), "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                status, said = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read()
        assert status in expect, (method, path, status, said)
        return json.loads(said) if status in (200, 201) else None

    def kill(self) -> None:
        """As a crash does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """For good: its data goes too."""
        if self._process is not None:
            self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()
        self._process = None


@pytest.fixture(scope="session")
def nearest_of_session() -> Iterator[PowerDns]:
    backend = next(Path("/usr/lib").glob("*/pdns/libgeoipbackend.so"), None)
    assert backend is not None, "pdns-backend-geoip is not installed: see tests/support/install-programs"
    server = PowerDns(geo=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nearest(nearest_of_session: PowerDns) -> PowerDns:
    """A running server that answers by places, whose zone ``a.example`` is as new."""
    nearest_of_session.make_zone()
    return nearest_of_session


def rrset(name: str, rdtype: str, *contents: str) -> dict[str, Any]:
    """A replacement as the API wants it."""
    records = [{"content": each, "disabled": False} for each in contents]
    return {"name": name, "type": rdtype, "ttl": 10, "changetype": "REPLACE", "records": records}


def _drain(stream: Any) -> None:
    for _ in stream:
        pass


@pytest.fixture(scope="session")
def powerdns_of_session() -> Iterator[PowerDns]:
    server = PowerDns()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def powerdns(powerdns_of_session: PowerDns) -> PowerDns:
    """A running server whose zone ``a.example`` is as new."""
    powerdns_of_session.make_zone()
    return powerdns_of_session
