"""
Who a credential names.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

from pinggy.core.ledger import Transaction
from pinggy.settings import Secret
from pinggy.tunnel import refusals
from pinggy.tunnel.grant import ANONYMOUS, Identity
from pinggy.tunnel.refusals import MalformedMessage
from pinggy.tunnel.token import parse_token
from pinggy.wire.messages import ByKey, ByToken, Credential, Nobody

FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """*newest_wins*: the credential is a token of which the operator has said so."""

    identity: Identity
    newest_wins: bool = False


async def identified(ledger: Transaction, credential: Credential) -> Identified:
    """Raises `TokenMistyped`, `TokenUnknown` or `KeyUnknown`."""
    match credential:
        case Nobody():
            return Identified(identity=ANONYMOUS)
        case ByToken():
            return await _by_token(ledger, credential.token)
        case ByKey():
            return Identified(identity=await _by_key(ledger, credential.fingerprint))


async def _by_token(ledger: Transaction, secret: Secret) -> Identified:
    token = parse_token(secret.reveal())
    if token is None:
        raise refusals.TokenMistyped.of()
    entry = await ledger.token(token.prefix)
    if entry is None or not hmac.compare_digest(entry.digest, token.digest) or entry.revoked:
        raise refusals.TokenUnknown.of(token.prefix)
    return Identified(identity=Identity(account=entry.account, label=entry.prefix), newest_wins=entry.newest_wins)


async def _by_key(ledger: Transaction, fingerprint: str) -> Identity:
    if not FINGERPRINT.fullmatch(fingerprint):
        raise MalformedMessage("ByKey.fingerprint is not a SHA256: fingerprint.")
    account = await ledger.account_of_key(fingerprint)
    if account is None:
        raise refusals.KeyUnknown.of()
    return Identity(account=account, label=fingerprint)
