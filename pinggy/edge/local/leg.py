"""
The leg from the edge to a local server: a stream of the client's, and what the policy has it begin with.

With ``x:haproxy`` a PROXY header comes first, in the clear, as HAProxy's ``send-proxy`` writes it; then, with
``x:localServerTls``, the TLS handshake; then what the visitor says. Servers that have both expect them in this order
(nginx: ``listen 443 ssl proxy_protocol``).
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from pinggy.edge.client import Peer
from pinggy.edge.local.tls import speak_tls
from pinggy.edge.stream import Cause, Stream, StreamRefused
from pinggy.edge.tunnels import LiveForwarding
from pinggy.http.proxyline import written_as_line
from pinggy.http.proxyprotocol import ProxyHeader, written
from pinggy.tunnel.policy import Policy, ProxyProtocol
from pinggy.tunnel.request import Kind

# What is offered by ALPN (RFC 7301) where the tunnel's own type says what will be spoken.
HTTP_1 = ("http/1.1",)


def open_leg(
    live: LiveForwarding,
    policy: Policy,
    visitor: Peer,
    *,
    clock: IReactorTime,
    protocols: tuple[str, ...] | None = None,
) -> Deferred[Stream]:
    """
    A stream to the local server of *live*, at which the next byte is the visitor's. Fails with `StreamRefused`. Call
    `stream_over` of the tunnel once when it has ended, as after `LiveTunnel.open_stream`.

    *protocols* are offered by ALPN where TLS is spoken: HTTP/1.1 for ``http`` tunnels, nothing for others, unless they
    are given.
    """
    opened = live.tunnel.open_stream(live.forwarding, visitor)
    # What a tunnel of the type tls carries is the visitor's own TLS, which is passed unread, and not wrapped either.
    speaks_tls = policy.local_tls is not None and live.forwarding.kind is not Kind.TLS
    if policy.haproxy is None and not speaks_tls:
        return opened
    if protocols is None:
        protocols = HTTP_1 if live.forwarding.kind is Kind.HTTP else ()
    server_name = policy.local_tls if speaks_tls else None
    return Deferred.fromCoroutine(_begun(live, opened, policy.haproxy, visitor, server_name, protocols, clock))


async def _begun(
    live: LiveForwarding,
    opened: Deferred[Stream],
    haproxy: ProxyProtocol | None,
    visitor: Peer,
    server_name: str | None,
    protocols: tuple[str, ...],
    clock: IReactorTime,
) -> Stream:
    stream = await opened
    if haproxy is not None:
        stream.write(proxy_header(haproxy, visitor))
    if server_name is None:
        return stream
    try:
        return await speak_tls(stream, server_name, protocols, clock)
    except BaseException as error:
        live.tunnel.stream_over()
        if isinstance(error, StreamRefused) and live.tunnel.has_ended:
            raise StreamRefused("The tunnel has ended.", Cause.GONE) from error
        raise


def proxy_header(version: ProxyProtocol, visitor: Peer) -> bytes:
    """
    Who *visitor* is and what he came to. Where his address and ours are of two families, IPv4 is mapped into IPv6 in
    either version: a line that says ``UNKNOWN``, as HAProxy's does then, would hide him.
    """
    source, destination = visitor.ends
    header = ProxyHeader(source=source, destination=destination)
    return written_as_line(header) if version is ProxyProtocol.V1 else written(header)
