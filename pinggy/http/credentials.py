"""
Who may ask: the passwords and keys of a policy against the Authorization of a request (RFC 7617, RFC 6750).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256

from pinggy.http.head import Headers, RequestHead
from pinggy.tunnel.policy import Policy


def is_asked_for(policy: Policy) -> bool:
    return bool(policy.basic or policy.bearer)


def is_try(head: RequestHead) -> bool:
    """Whether *head* carries a credential, whatever its kind."""
    return any(name.lower() == "authorization" for name, _ in head.headers)


def passes(head: RequestHead, policy: Policy) -> bool:
    """
    Whether *head* carries one of the credentials that *policy* asks for. How long this takes says nothing of them but
    how many there are: digests are compared, which are of one length, and all of them, whichever fits.
    """
    values = [value for name, value in head.headers if name.lower() == "authorization"]
    if len(values) != 1:
        return False
    scheme, _, credential = values[0].partition(" ")
    match scheme.lower():
        case "basic":
            given = _utf8(_decoded(credential.strip(" ")))
            wanted = [f"{each.user}:{each.password.reveal()}".encode() for each in policy.basic]
        case "bearer":
            given = _utf8(credential.strip(" ").encode("latin-1"))
            wanted = [each.reveal().encode() for each in policy.bearer]
        case _:
            return False
    digest = sha256(given).digest()
    return sum(hmac.compare_digest(digest, sha256(each).digest()) for each in wanted) > 0


def challenges(policy: Policy, realm: str) -> Headers:
    """The WWW-Authenticate headers of a 401. *realm* is ours: it is not escaped."""
    asked: list[tuple[str, str]] = []
    if policy.basic:
        asked.append(("WWW-Authenticate", f'Basic realm="{realm}", charset="UTF-8"'))
    if policy.bearer:
        asked.append(("WWW-Authenticate", f'Bearer realm="{realm}"'))
    return tuple(asked)


def is_preflight(head: RequestHead) -> bool:
    """
    Whether this is a CORS preflight as browsers send it (Fetch 4.8): it never carries a credential, content, or the
    wish for another protocol, which would be a way past the password.
    """
    if head.method != "OPTIONS" or head.framing != 0 or head.upgrade is not None:
        return False
    names = {name.lower() for name, _ in head.headers}
    return "origin" in names and "access-control-request-method" in names


def _decoded(credential: str) -> bytes:
    try:
        return base64.b64decode(credential.encode("latin-1"), validate=True)
    except binascii.Error:
        return b""


def _utf8(text: bytes) -> bytes:
    """What is no UTF-8 is taken for Latin-1: some programs say it so, though asked for UTF-8 (RFC 7617 2.1)."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()
    return text
