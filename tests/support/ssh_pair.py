"""
A Conch client and our server joined in memory: no ports, and a clock that only the test moves.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump, connect

from pinggy.edge.ssh.factory import SshFactory
from pinggy.edge.ssh.transport import Transport

CLIENT = IPv4Address("TCP", "192.0.2.7", 50000)


class Auth(SSHUserAuthClient):
    """Offers what the test gave it, in the order that the server allows."""

    def __init__(self, user: bytes, connection: SSHConnection, key: Key | None, password: bytes | None) -> None:
        super().__init__(user, connection)
        self._key = key
        self._password = password
        self.banners: list[str] = []
        self.asked: list[bytes] = []

    def ssh_USERAUTH_BANNER(self, packet: bytes) -> None:
        self.banners.append(getNS(packet)[0].decode())

    def tryAuth(self, kind: bytes) -> Any:
        self.asked.append(kind)
        return super().tryAuth(kind)

    def getPublicKey(self) -> Any:
        key, self._offered = self._key, self._key
        self._key = None
        return None if key is None else key.public()

    def signData(self, publicKey: Key, signData: bytes) -> Any:
        assert self._offered is not None
        return succeed(self._offered.sign(signData))

    def getPassword(self, prompt: bytes | None = None) -> Any:
        return None if self._password is None else succeed(self._password)

    def getGenericAnswers(self, name: bytes, instruction: bytes, prompts: Any) -> Any:
        """Somebody without a password never answers."""
        if self._password is None:
            return Deferred()
        return succeed([self._password.decode() for _ in prompts])


class Connection(SSHConnection):
    """The client's side: what the server opens is kept in *forwarded*."""

    def __init__(self) -> None:
        super().__init__()
        self.started = False
        self.forwarded: list[Visit] = []
        self.accept_forwarded: Callable[[], Visit] = Visit
        self.ignores_opens = False

    def serviceStarted(self) -> None:
        self.started = True

    def ssh_CHANNEL_OPEN(self, packet: bytes) -> None:
        if not self.ignores_opens:
            super().ssh_CHANNEL_OPEN(packet)

    def channel_forwarded_tcpip(self, windowSize: int, maxPacket: int, data: bytes) -> SSHChannel:
        channel = self.accept_forwarded()
        channel.remoteWindowLeft, channel.remoteMaxPacket = windowSize, maxPacket
        bind, rest = getNS(data)
        (channel.bind_port,) = struct.unpack_from(">L", rest)
        channel.bind = bind.decode()
        channel.originator = getNS(rest[4:])[0].decode()
        self.forwarded.append(channel)
        return channel


class Visit(SSHChannel):
    """A forwarded channel as the client sees it."""

    name = b"forwarded-tcpip"
    bind = ""
    bind_port = 0
    originator = ""

    def __init__(self, window: int = 0) -> None:
        super().__init__(localWindow=window)
        self.received = b""
        self.ended = self.over = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def eofReceived(self) -> None:
        self.ended = True

    def closed(self) -> None:
        self.over = True


class Session(SSHChannel):
    """A session as the client sees it: *lines* are what the terminal shows."""

    name = b"session"

    def __init__(self, command: bytes | None, pty: bool = False) -> None:
        super().__init__()
        self._command = command
        self._pty = pty
        self.shown = ""
        self.status: int | None = None
        self.over = False
        self.refused: str | None = None
        self.accepted: bool | None = None

    def openFailed(self, reason: Any) -> None:
        # The edge's text, or that the connection was lost meanwhile.
        said = getattr(reason, "value", b"")
        self.refused = said.decode() if isinstance(said, bytes) else str(said)

    @property
    def lines(self) -> list[str]:
        return self.shown.splitlines()

    def channelOpen(self, specificData: bytes) -> None:
        if self._pty:
            terminal = NS(b"xterm") + struct.pack(">4L", 80, 24, 0, 0) + NS(b"")
            self.conn.sendRequest(self, b"pty-req", terminal)  # type: ignore[union-attr]
        if self._command is not None:
            self.ask(self._command)

    def ask(self, command: bytes) -> None:
        """Send the exec request, or that for a shell where *command* is empty."""
        kind, data = (b"exec", NS(command)) if command else (b"shell", b"")
        d = self.conn.sendRequest(self, kind, data, wantReply=1)  # type: ignore[union-attr]
        assert d is not None
        d.addCallbacks(lambda _: setattr(self, "accepted", True), lambda _: setattr(self, "accepted", False))

    def dataReceived(self, data: bytes) -> None:
        self.shown += data.decode()

    def request_exit_status(self, data: bytes) -> bool:
        (self.status,) = struct.unpack(">L", data)
        return True

    def closed(self) -> None:
        self.over = True


class Direct(SSHChannel):
    """A direct-tcpip channel as the client sees it."""

    name = b"direct-tcpip"

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self.target = NS(host.encode()) + struct.pack(">L", port) + NS(b"127.0.0.1") + struct.pack(">L", 4000)
        self.received = b""
        self.refused: str | None = None

    def openFailed(self, reason: Any) -> None:
        self.refused = reason.value.decode()

    def dataReceived(self, data: bytes) -> None:
        self.received += data


class Client(SSHClientTransport):
    def __init__(self, auth: Auth, connection: Connection) -> None:
        self.auth = auth
        self.connection = connection
        self.goodbye: str | None = None
        self._asked = False

    def verifyHostKey(self, hostKey: bytes, fingerprint: bytes) -> Deferred[int]:
        return succeed(1)

    def connectionSecure(self) -> None:
        # Conch calls it each time that keys have changed.
        if not self._asked:
            self._asked = True
            self.requestService(self.auth)

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.goodbye = description.decode()


class Pair:
    """*client* and *server* are joined; `flush` moves what is on its way, `advance` the clock as well."""

    def __init__(
        self,
        factory: SshFactory,
        clock: Clock,
        user: bytes = b"me",
        *,
        key: Key | None = None,
        password: bytes | None = None,
        prepare: Callable[[Transport], object] = lambda server: None,
    ) -> None:
        self.clock = clock
        self.connection = Connection()
        self.auth = Auth(user, self.connection, key, password)
        self.client = Client(self.auth, self.connection)
        self.server: Transport = factory.buildProtocol(CLIENT)
        prepare(self.server)
        self._server_io = FakeTransport(self.server, True, peerAddress=CLIENT)
        self._client_io = FakeTransport(self.client, False)
        self.pump: IOPump = connect(self.server, self._server_io, self.client, self._client_io)
        self.flush()

    @property
    def logged_in(self) -> bool:
        return self.connection.started

    @property
    def is_over(self) -> bool:
        return bool(self._server_io.disconnected)

    def flush(self) -> None:
        self.pump.flush()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.flush()

    def vanish(self) -> None:
        """The connection breaks."""
        self._client_io.abortConnection()
        self.flush()

    def forward(self, bind: str = "localhost", port: int = 0) -> Deferred[bytes]:
        """Ask for a forwarding; fires with the reply's data."""
        data = NS(bind.encode()) + struct.pack(">L", port)
        return self._request(b"tcpip-forward", data)

    def cancel_forward(self, bind: str, port: int) -> Deferred[bytes]:
        return self._request(b"cancel-tcpip-forward", NS(bind.encode()) + struct.pack(">L", port))

    def _request(self, kind: bytes, data: bytes) -> Deferred[bytes]:
        d: Deferred[bytes] | None = self.connection.sendGlobalRequest(kind, data, wantReply=1)
        assert d is not None
        self.flush()
        return d

    def session(self, command: bytes | None = b"", pty: bool = False) -> Session:
        """Open a session; None asks for neither exec nor shell."""
        session = Session(command, pty)
        self.connection.openChannel(session)
        self.flush()
        # The console reads its command in the next turn.
        self.advance(0)
        return session
