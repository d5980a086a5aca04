"""
Conch's factory for our transport: host keys, and the two services of a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.internet.interfaces import IAddress

from pinggy.edge.client import Peer
from pinggy.edge.opening import Parts
from pinggy.edge.ssh.client import ClientSettings, SshClient
from pinggy.edge.ssh.connection import OrderedConnection
from pinggy.edge.ssh.realm import portal_for
from pinggy.edge.ssh.silence import SILENT
from pinggy.edge.ssh.transport import Transport
from pinggy.edge.ssh.userauth import UserAuth
from pinggy.tunnel.grant import Identity
from pinggy.tunnel.request import Login
from pinggy.wire.messages import Credential


class Connection(OrderedConnection):
    _log = SILENT


class SshFactory(SSHFactory):
    """Builds the protocol of one client. *clients* are the connections that are open."""

    protocol = Transport
    noisy = False
    _log = SILENT

    def __init__(
        self, parts: Parts, host_keys: Sequence[Key], settings: ClientSettings, login_seconds: float = 30.0
    ) -> None:
        self._parts = parts
        self._settings = settings
        self._login_seconds = login_seconds
        self.privateKeys = {key.sshType(): key for key in host_keys}
        self.publicKeys = {key.sshType(): key.public() for key in host_keys}
        self.clients: set[Transport] = set()
        portal = portal_for(parts.core, self._new_client)
        self._services: dict[bytes, Callable[[], SSHService]] = {
            b"ssh-userauth": lambda: UserAuth(portal),
            b"ssh-connection": Connection,
        }
        self.startFactory()

    def buildProtocol(self, addr: IAddress | None) -> Transport:
        transport = super().buildProtocol(addr)
        assert isinstance(transport, Transport)
        transport.peer = Peer(getattr(addr, "host", "unknown"), getattr(addr, "port", 0))
        transport.clock = self._parts.clock
        transport.login_seconds = self._login_seconds
        self.clients.add(transport)
        transport.on_lost = lambda: self.clients.discard(transport)
        return transport

    def getService(self, transport: Any, service: bytes) -> Callable[[], SSHService] | None:
        if service == b"ssh-userauth" or hasattr(transport, "avatar"):
            return self._services.get(service)
        return None

    def _new_client(self, transport: Transport, login: Login, credential: Credential, identity: Identity) -> SshClient:
        return SshClient(self._parts, self._settings, transport, login, credential, identity)
