"""
Where something listens, as settings spell it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_SOCKET = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+)):(?P<port>[0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Socket:
    """An IP address and a port to listen at."""

    host: str
    port: int


def parse_socket(text: str) -> Socket:
    """``127.0.0.1:7443`` or ``[::1]:7443``. Raises ValueError."""
    match = _SOCKET.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        host = match["v6"] or match["v4"]
        ipaddress.ip_address(host)
        port = int(match["port"])
        if port > 65535:
            raise ValueError
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address and a port, as in 127.0.0.1:443 or [::1]:443.") from None
    return Socket(host, port)
