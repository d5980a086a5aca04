"""
What the sockets of those who connect inherit from the one that listens, so that it costs nothing for each.

TCP keepalive: one who is gone without a word is found out, however little there is to be said. An idle WebSocket may
stay for days, so no timeout ends it; and what a visitor's phone or router forgot would stay too.

No delay: small answers are not held back until earlier ones are acknowledged (RFC 896).
"""

from __future__ import annotations

import socket

from twisted.internet.interfaces import IListeningPort
from twisted.internet.tcp import Port

# Seconds of silence until the first probe, and between the next ones; how many may be lost. Routers forget a connection
# that is silent for longer than some minutes.
IDLE = 60
INTERVAL = 15
PROBES = 4


def let_inherit(listening: IListeningPort) -> None:
    """For all who connect to *listening* from now on. In memory, where there are no sockets, there is nothing to do."""
    if not isinstance(listening, Port):
        return
    listener = listening.socket
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
