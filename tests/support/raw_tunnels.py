"""
Raw tunnels of each type, with a local server of the matching kind behind, and visitors who speak it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.local_servers import Serve, own_certificate, server_context, tcp_server
from tests.support.openssh import Client, ssh
from tests.support.public import connect, connect_tls
from tests.support.service import Service

KINDS = ("tcp", "tls", "tlstcp")


@dataclass(slots=True)
class RawTunnel:
    """*kind* is one of `KINDS`; *ca* is whom a visitor's TLS trusts, None where he speaks none."""

    kind: str
    url: str
    client: Client
    ca: Path | None

    def visit(self, *, receive: int | None = None) -> socket.socket:
        """A visitor's connection, after the TLS handshake if there is one; *receive*: see `connect`."""
        plain = connect(self.url, receive=receive)
        return plain if self.ca is None else connect_tls(self.url, self.ca, plain=plain)


@contextmanager
def raw_tunnel(service: Service, folder: Path, kind: str, serve: Serve, *command: str) -> Iterator[RawTunnel]:
    """*serve* has each visitor's connection; where TLS is passed through, it is ended there by an authority of ours."""
    own = own_certificate(folder / "own", "a.localhost") if kind == "tls" else None
    ca = own.ca if own else service.ca if kind == "tlstcp" else None
    with (
        tcp_server(serve, server_context(own) if own else None) as port,
        ssh(service, "-T", f"-R0:localhost:{port}", user=kind, command=command) as client,
    ):
        yield RawTunnel(kind, client.url(kind), client, ca)
