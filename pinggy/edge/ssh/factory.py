"""
Conch's factory for our transport: host keys, and the two services of a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress

from pinggy.edge.client import Peer
from pinggy.edge.opening import Parts
from pinggy.edge.ssh.client import ClientSettings, SshClient
from pinggy.edge.ssh.connection import WINDOWS, OrderedConnection
from pinggy.edge.ssh.logins import Logins
from pinggy.edge.ssh.realm import portal_for
from pinggy.edge.ssh.silence import SILENT
from pinggy.edge.ssh.transport import Transport
from pinggy.edge.ssh.userauth import UserAuth
from pinggy.edge.ssh.window import WindowBudget
from pinggy.tunnel.grant import Identity
from pinggy.tunnel.request import Login
from pinggy.wire.messages import Credential


class Connection(OrderedConnection):
    _log = SILENT


class SshFactory(SSHFactory):
    """Builds the protocol of each client."""

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
        self._clients: set[Transport] = set()
        self._logins = Logins(parts.clock)
        # Those who are to leave, and who waits for that.
        self._leaving: set[Transport] = set()
        self._empty: Deferred[None] | None = None
        portal = portal_for(parts.core, parts.dormants, self._new_client)
        self._windows = WindowBudget(settings.windows)
        self._ciphers, self._macs = list(settings.ciphers), list(settings.macs)
        self._services: dict[bytes, Callable[[], SSHService]] = {
            b"ssh-userauth": lambda: UserAuth(
                portal, parts.closed, lambda refusal: parts.metrics.login_refused(refusal.code)
            ),
            b"ssh-connection": self._new_connection,
        }
        self.startFactory()

    @property
    def clients(self) -> int:
        """How many are connected, logged in or not."""
        return len(self._clients)

    def buildProtocol(self, addr: IAddress | None) -> Transport:
        transport = super().buildProtocol(addr)
        assert isinstance(transport, Transport)
        transport.peer = Peer(getattr(addr, "host", "unknown"), getattr(addr, "port", 0))
        transport.clock = self._parts.clock
        transport.logins = self._logins
        transport.login_seconds = self._login_seconds
        transport.supportedCiphers, transport.supportedMACs = self._ciphers, self._macs
        self._clients.add(transport)
        transport.on_lost = lambda: self._lost(transport)
        return transport

    def hang_up(self, patience: float) -> Deferred[None]:
        """
        Fires when every client has left who is here now; those who have not within *patience* seconds are cut off. An
        edge that drains listens on, and there may always be somebody who has just come.
        """
        for transport in list(self._clients):
            if not hasattr(transport, "avatar"):
                transport.hang_up()
        if not self._clients:
            return succeed(None)
        self._leaving = set(self._clients)
        self._empty = Deferred()
        bound = self._parts.clock.callLater(patience, self._cut_off)

        def over(result: Any) -> Any:
            if bound.active():
                bound.cancel()
            return result

        return self._empty.addBoth(over)

    def _cut_off(self) -> None:
        for transport in list(self._leaving):
            transport.hang_up()

    def _lost(self, transport: Transport) -> None:
        self._clients.discard(transport)
        self._leaving.discard(transport)
        if not self._leaving and self._empty is not None:
            empty, self._empty = self._empty, None
            empty.callback(None)

    def getService(self, transport: Any, service: bytes) -> Callable[[], SSHService] | None:
        # Each once: whoever logs in again would leave a tunnel behind that nobody ends.
        if service == b"ssh-userauth":
            allowed = transport.service is None
        else:
            allowed = hasattr(transport, "avatar") and isinstance(transport.service, UserAuth)
        return self._services.get(service) if allowed else None

    def _new_connection(self) -> Connection:
        connection = Connection()
        connection.clock = self._parts.clock
        connection.budget = WindowBudget(WINDOWS, self._windows)
        return connection

    def _new_client(
        self, transport: Transport, login: Login, credential: Credential, identity: Identity, by_ticket: bool
    ) -> SshClient:
        return SshClient(self._parts, self._settings, transport, login, credential, identity, by_ticket)
