"""
Visitors of a service: they come to loopback, whatever the name in the URL.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.service import PATIENCE, Service


def connect(url: str, *, receive: int | None = None) -> socket.socket:
    """TCP to the port of *url*; *receive* is the size of the socket's receive buffer."""
    port = urlsplit(url).port
    assert port is not None
    visitor = socket.socket()
    if receive is not None:
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    visitor.settimeout(PATIENCE)
    visitor.connect(("127.0.0.1", port))
    return visitor


def connect_tls(url: str, ca: Path, *, plain: socket.socket | None = None) -> ssl.SSLSocket:
    """TLS with the name of *url*, checked against *ca*."""
    context = ssl.create_default_context(cafile=str(ca))
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    return context.wrap_socket(plain or connect(url), server_hostname=urlsplit(url).hostname)


def curl(service: Service, *words: str, data: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """curl resolves what ends in .localhost to loopback by itself."""
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "60", "--cacert", str(service.ca), *words],
        input=data,
        capture_output=True,
        timeout=2 * PATIENCE,
        check=check,
    )


def status(service: Service, url: str, *words: str) -> int:
    """Of the response; 0 where the connection was closed without one."""
    return int(curl(service, "--output", "/dev/null", "--write-out", "%{http_code}", *words, url, check=False).stdout)


def ask(service: Service, url: str, *words: str) -> dict[str, Any]:
    """What `local_servers.Web` says of the request that reached it; header names in lower case, values in lists."""
    said: dict[str, Any] = json.loads(curl(service, *words, url).stdout)
    headers: dict[str, list[str]] = {}
    for name, value in said.get("headers", []):
        headers.setdefault(name.lower(), []).append(value)
    return {**said, "headers": headers}


def host(url: str) -> str:
    name = urlsplit(url).hostname
    assert name is not None
    return name


def dig(service: Service, name: str, kind: str = "CNAME") -> list[str]:
    """What the service's own authoritative DNS has of *name*."""
    done = subprocess.run(
        ["dig", "@127.0.0.1", "-p", str(service.dns_port), "+short", "+norecurse", name, kind],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout.split()


def eventually(is_so: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """For what nothing announces: ask until *is_so*."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)
