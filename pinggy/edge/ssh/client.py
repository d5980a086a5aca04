"""
The avatar of one authenticated connection: what SSH says becomes what a tunnel understands, and the other way round.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.error import ConchError
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.connection import OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_RESOURCE_SHORTAGE
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from pinggy.edge.client import Peer
from pinggy.edge.client_tunnel import ClientTunnel
from pinggy.edge.opening import Parts
from pinggy.edge.ssh.connection import OrderedConnection
from pinggy.edge.ssh.console import Console
from pinggy.edge.ssh.direct import DEBUGGER, DirectChannel, parse_target
from pinggy.edge.ssh.forwarded import ForwardedChannel, open_data
from pinggy.edge.ssh.packets.names import CIPHERS, MACS
from pinggy.edge.ssh.transport import Transport
from pinggy.edge.stream import Cause, Stream, StreamRefused
from pinggy.edge.timer import Timer
from pinggy.tunnel.endings import ClientLeft, ClientSilent
from pinggy.tunnel.grant import Forwarding, Identity
from pinggy.tunnel.refusals import Refusal
from pinggy.tunnel.request import Login, parse_forward
from pinggy.wire.messages import Credential

log = Logger()

KEEPALIVE = b"keepalive@openssh.com"
_MOST_OWN_CHANNELS = 32  # sessions and direct-tcpip that a client has open at once
_MOST_CHANNELS = 4096  # open or asked for; the grant's limit counts those that a visitor still waits for
_OPEN_BOUND = 30.0  # seconds for the client to connect to its local server
_GOODBYE = 2.0  # seconds for the client to read the last line and close


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """
    *silence*: seconds without a packet after which a client is gone. *notice*: the operator's line, or empty.
    *windows*: bytes of all windows beyond their starts. *ciphers* and *macs*: names, the most wanted first.
    """

    silence: float = 15.0
    notice: str = ""
    windows: int = 64 * 1024 * 1024
    ciphers: tuple[bytes, ...] = tuple(CIPHERS)
    macs: tuple[bytes, ...] = tuple(MACS)


class SshClient(ConchUser):
    """Implements `pinggy.edge.client.Client` for tunnels, and Conch's IConchUser for the connection."""

    conn: OrderedConnection

    def __init__(
        self,
        parts: Parts,
        settings: ClientSettings,
        transport: Transport,
        login: Login,
        credential: Credential,
        identity: Identity,
        by_ticket: bool = False,
    ) -> None:
        super().__init__()
        self._transport = transport
        self.clock = parts.clock
        self._metrics = parts.metrics
        self._settings = settings
        self.tunnel = ClientTunnel(parts, self, login, credential, identity, by_ticket)
        self._binds: dict[int, tuple[str, int]] = {}
        self._next_port = 1
        self._consoles: list[Console] = []
        self._own_channels = 0
        self._heartbeat = Timer(parts.clock, self._beat)
        self._goodbye = Timer(parts.clock, self._hang_up)
        self._ping: Deferred[None] | None = None
        self._announced = False
        self._heartbeat.start(settings.silence / 2)
        transport.logged_in()

    def left(self) -> None:
        """The connection is gone."""
        self._heartbeat.stop()
        self._goodbye.stop()
        self.tunnel.end(ClientLeft.of())

    # -- pinggy.edge.client.Client ----------------------------------------------------------------------------------

    @property
    def peer(self) -> Peer:
        return self._transport.peer

    def open_stream(self, forwarding: Forwarding, visitor: Peer) -> Deferred[Stream]:
        if self._transport.is_over or forwarding.number not in self._binds:
            return fail(StreamRefused("The client has left.", Cause.GONE))
        if len(self.conn.channels) >= _MOST_CHANNELS:
            return fail(StreamRefused("The client has too many channels to answer for.", Cause.FULL))
        channel = ForwardedChannel(self._metrics.stalls)
        bind, port = self._binds[forwarding.number]
        self.conn.openChannel(channel, open_data(bind, port, visitor))
        return channel.opened.addTimeout(_OPEN_BOUND, self.clock, _not_opened)

    def probe(self) -> Deferred[None]:
        """Any packet counts, and the answer to a ping is one."""
        if self._transport.is_over:
            return fail(ClientLeft.of())
        answered: Deferred[None] = self.conn.sendGlobalRequest(KEEPALIVE, b"", wantReply=1)
        # Clients that do not know the request refuse it: that is life too.
        return answered.addErrback(self._refused_ping).addCallback(self._ponged, self.clock.seconds())

    def _ponged(self, _: object, asked: float) -> None:
        self._metrics.pinged(self.clock.seconds() - asked)

    def tell(self, code: str, text: str) -> None:
        for console in self._consoles:
            console.tell(code, text)

    def announce(self, reason: Refusal) -> None:
        self._announced = True
        for console in self._consoles:
            console.announce(reason)

    def leave(self, reason: Refusal) -> None:
        self._heartbeat.stop()
        if self._transport.is_over:
            return
        if isinstance(reason, ClientSilent):
            self._hang_up()
            return
        consoles, self._consoles = self._consoles, []
        for console in consoles:
            console.finish(reason)
        if consoles:
            # A disconnect now would hide the exit status; the client closes when it has read it.
            self._goodbye.start(_GOODBYE)
        else:
            self._transport.disconnect(reason.text)

    def _refused_ping(self, failure: Failure) -> None:
        failure.trap(ConchError)
        if self._transport.is_over:
            raise ClientLeft.of()

    def _hang_up(self) -> None:
        self._transport.hang_up()

    # -- life -------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Ping a client that has been silent for half of the bound; close one that has been for the whole."""
        bound = self._settings.silence
        silent = self.clock.seconds() - self._transport.heard
        if silent >= bound:
            self.tunnel.end(ClientSilent.of(bound))
            return
        if silent >= bound / 2:
            self._send_ping()
        self._heartbeat.start(max(bound / 2 - silent, 0.1) if silent < bound / 2 else bound - silent)

    def _send_ping(self) -> None:
        if self._ping is None:
            self._ping = self.probe()
            self._ping.addBoth(self._ping_over)

    def _ping_over(self, _: object) -> None:
        self._ping = None

    # -- global requests (RFC 4254 7.1) -----------------------------------------------------------------------------

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> Deferred[bytes | None]:
        if requestType == b"tcpip-forward":
            return self._forward(data)
        if requestType == b"cancel-tcpip-forward":
            return self._cancel(data)
        return succeed(None)

    def _forward(self, data: bytes) -> Deferred[bytes | None]:
        self._transport.acknowledge()
        bind, rest = getNS(data)
        (port,) = struct.unpack(">L", rest)
        try:
            request = parse_forward(bind, port, self.tunnel.login.kind)
        except Refusal as refusal:
            self.tunnel.tell_refused(refusal)
            return succeed(None)
        reply_port = port or self._allocate()

        def granted(forwarding: Forwarding) -> bytes:
            self._binds[forwarding.number] = (request.bind, reply_port)
            # Only who asked for port 0 is told one; OpenSSH refuses a reply with a port it did not ask for.
            return b"" if port else struct.pack(">L", reply_port)

        def refused(failure: Failure) -> None:
            failure.trap(Refusal)

        d: Deferred[bytes | None] = self.tunnel.ask(request).addCallbacks(granted, refused)
        return d

    def _cancel(self, data: bytes) -> Deferred[bytes | None]:
        bind, rest = getNS(data)
        (port,) = struct.unpack(">L", rest)
        text = bind.decode("utf-8", "replace")
        # The reply to port 0 named a port; clients cancel with that one.
        for number, (asked, replied) in self._binds.items():
            if asked == text and port in (0, replied):
                # The same may be asked for again, under another number.
                del self._binds[number]
                d = self.tunnel.withdraw(number)
                return d.addCallback(lambda was_there: b"" if was_there else None)
        return succeed(None)

    def _allocate(self) -> int:
        """A port for the reply; it only tells the forwardings of this connection apart."""
        taken = {port for _, port in self._binds.values()}
        while self._next_port in taken:
            self._next_port += 1
        self._next_port += 1
        return self._next_port - 1

    # -- channels that the client opens -----------------------------------------------------------------------------

    def lookupChannel(self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> SSHChannel:
        if self._announced:
            raise ConchError("The tunnel is over.", OPEN_ADMINISTRATIVELY_PROHIBITED)
        if self._own_channels >= _MOST_OWN_CHANNELS:
            raise ConchError("Too many channels at once.", OPEN_RESOURCE_SHORTAGE)
        channel: Console | DirectChannel
        if channelType == b"session":
            channel = Console(
                self.tunnel,
                self.clock,
                self._settings.notice,
                self._channel_closed,
                remoteWindow=windowSize,
                remoteMaxPacket=maxPacket,
            )
            self._consoles.append(channel)
        elif channelType == b"direct-tcpip":
            if parse_target(data) not in DEBUGGER:
                raise ConchError(
                    "Only localhost:4300, the web debugger, can be reached through -L.",
                    OPEN_ADMINISTRATIVELY_PROHIBITED,
                )
            channel = DirectChannel(
                self.tunnel, self.clock, self._channel_closed, remoteWindow=windowSize, remoteMaxPacket=maxPacket
            )
        else:
            raise ConchError("Only sessions and direct-tcpip can be opened here.", OPEN_ADMINISTRATIVELY_PROHIBITED)
        self._own_channels += 1
        return channel

    def _channel_closed(self, channel: Console | DirectChannel) -> None:
        self._own_channels -= 1
        if channel in self._consoles:
            self._consoles.remove(channel)


def _not_opened(result: object, seconds: float) -> Any:
    raise StreamRefused(f"The client did not open a channel within {seconds:g} seconds.")
