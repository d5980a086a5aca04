"""
What a visitor was told of whom he speaks with, where TLS ends here: it binds him for as long as he is connected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Certificate(Protocol):
    """`pinggy.certificates.pair.Shown`, as far as it is asked here."""

    def covers(self, host: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Secured:
    """*server_name* is the host that his hello named (SNI), *certificate* what he was shown."""

    server_name: str | None
    certificate: Certificate

    def is_for(self, host: str) -> bool:
        """
        Whether a request for *host* belongs to this connection (RFC 9110 7.4): he has asked for it in his hello, or can
        see that the certificate is for it too. Browsers go by that where one connection would do for two hosts.
        """
        return host == self.server_name or self.certificate.covers(host)
