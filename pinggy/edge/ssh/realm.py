"""
The realm: a login becomes an avatar by a chain of Deferreds that asks the core.

    userauth -> Portal.login -> `Admission.requestAvatarId` -> core.identify -> `Admission.requestAvatar` -> Client
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from twisted.conch.error import ValidPublicKey
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh.keys import BadKeyError, Key
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IAnonymous, ISSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from pinggy.edge.core_client import CoreClient
from pinggy.edge.dormant import Dormants
from pinggy.edge.ssh.hostkeys import fingerprint
from pinggy.edge.ssh.transport import Transport
from pinggy.tunnel.grant import ANONYMOUS, Identity
from pinggy.tunnel.refusals import CoreAway
from pinggy.tunnel.request import Login
from pinggy.wire.messages import ByKey, ByToken, Credential, Nobody

NewAvatar = Callable[[Transport, Login, Credential, Identity, bool], Any]
"""The last one: let in by a ticket, while the core does not answer."""


@implementer(ICredentialsChecker, IRealm)
class Admission:
    """One attempt of one connection to log in: checker and realm at once, because both need what the other learns."""

    credentialInterfaces = (IAnonymous, ISSHPrivateKey)

    def __init__(
        self, core: CoreClient, dormants: Dormants, new_avatar: NewAvatar, transport: Transport, login: Login
    ) -> None:
        self._core = core
        self._dormants = dormants
        self._new_avatar = new_avatar
        self._transport = transport
        self._login = login
        self._credential: Credential = Nobody()
        self._identity = ANONYMOUS
        self._by_ticket = False

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """Fires when the core has said whose login this is; fails with a `Refusal` or `UnauthorizedLogin`."""
        if ISSHPrivateKey.providedBy(credentials):
            return self._by_key(credentials)
        return self._identify(self._token_or_nobody())

    def requestAvatar(self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]) -> Any:
        if self._transport.is_over:
            # Nobody would tell the avatar that the connection is gone: that has been said already.
            raise UnauthorizedLogin("The client has left.")
        avatar = self._new_avatar(self._transport, self._login, self._credential, self._identity, self._by_ticket)
        return IConchUser, avatar, avatar.left

    def _token_or_nobody(self) -> Credential:
        token = self._login.token
        return Nobody() if token is None else ByToken(token=token.secret)

    def _by_key(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        try:
            key = Key.fromString(credentials.blob)
        except (BadKeyError, UnsupportedAlgorithm, ValueError, IndexError):
            return fail(UnauthorizedLogin("This key cannot be read."))
        if credentials.signature is None:
            # "Would this key do?" Where no key is asked for, any would.
            asked = self._identify(ByKey(fingerprint=fingerprint(key))) if self._login.key else succeed(b"")
            return asked.addCallback(lambda _: fail(ValidPublicKey()))
        if not key.verify(credentials.signature, credentials.sigData):
            return fail(UnauthorizedLogin("The signature does not fit the key."))
        if self._login.key:
            return self._identify(ByKey(fingerprint=fingerprint(key)))
        return self._identify(self._token_or_nobody())

    def _identify(self, credential: Credential) -> Deferred[bytes | tuple[()]]:
        self._credential = credential
        if isinstance(credential, Nobody):
            return succeed(b"anonymous")
        self._by_ticket = False
        identity = self._core.identify(credential).addErrback(self._identify_by_ticket, credential)
        return identity.addCallback(self._identified)

    def _identify_by_ticket(self, failure: Failure, credential: Credential) -> Identity:
        """Without the core: whoever had a tunnel here a moment ago."""
        failure.trap(CoreAway)
        identity = self._dormants.identity_of(credential)
        if identity is None:
            assert isinstance(failure.value, CoreAway)
            raise failure.value
        self._by_ticket = True
        return identity

    def _identified(self, identity: Identity) -> bytes | tuple[()]:
        self._identity = identity
        return (identity.account or "anonymous").encode("utf-8")


def portal_for(core: CoreClient, dormants: Dormants, new_avatar: NewAvatar) -> Callable[[Transport, Login], Portal]:
    """What `UserAuth` needs: the portal of one attempt."""

    def portal(transport: Transport, login: Login) -> Portal:
        admission = Admission(core, dormants, new_avatar, transport, login)
        return Portal(admission, [admission])

    return portal
