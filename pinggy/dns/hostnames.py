"""
Texts to DNS names, strictly: what the zone holds is ASCII and has no escapes.
"""

from __future__ import annotations

import dns.exception
import dns.name
from dns.name import Name

from pinggy.tunnel.refusals import echo


def parse_name(text: str, origin: Name = dns.name.root) -> Name:
    """
    The absolute name that *text* is; without a final dot it is relative to *origin*, ``@`` is *origin* itself.

    Raises ValueError, a sentence that names the text.
    """
    if not text or not text.isascii() or "\\" in text or any(char <= " " for char in text):
        raise ValueError(f"'{echo(text)}' is not a DNS name: plain ASCII labels joined by dots.")
    try:
        return dns.name.from_text(text, origin, idna_codec=None)
    except dns.exception.DNSException as error:
        raise ValueError(f"'{echo(text)}' is not a DNS name: {error}") from None
