"""
Who is this? (RFC 4252, RFC 4256.) ``USER`` says which methods will do; the realm asks the core.

A refusal that the user can mend is said in a banner and again as the reason of the disconnect, because a client may
show either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.conch import error
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.transport import DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE, DISCONNECT_PROTOCOL_ERROR
from twisted.conch.ssh.userauth import (
    MSG_USERAUTH_BANNER,
    MSG_USERAUTH_PK_OK,
    SSHUserAuthServer,
)
from twisted.cred.credentials import Anonymous
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from pinggy.edge.ssh.silence import SILENT
from pinggy.edge.ssh.transport import Transport
from pinggy.tunnel.refusals import KeyUnknown, Refusal
from pinggy.tunnel.request import Login, parse_user

# RFC 4256 gives it the number of PK_OK: which of both is meant follows from the method.
MSG_USERAUTH_INFO_REQUEST = MSG_USERAUTH_PK_OK
_MOST_WAITING = 4

PortalFor = Callable[[Transport, Login], Portal]


class UserAuth(SSHUserAuthServer):
    """
    The service ``ssh-userauth`` of one connection; *portal_for* makes the portal of one attempt, *closed* says why
    nobody is let in at the moment, if so; *turned_away* is told of every refusal that ends the login.
    """

    _log = SILENT
    transport: Transport
    attemptsBeforeDisconnect = 10

    def __init__(
        self,
        portal_for: PortalFor,
        closed: Callable[[], Refusal | None] = lambda: None,
        turned_away: Callable[[Refusal], object] = lambda _: None,
    ) -> None:
        self._portal_for = portal_for
        self._closed = closed
        self._turned_away = turned_away
        self._login = Login()
        self._busy = False
        self._waiting: deque[bytes] = deque()
        self._response: Deferred[None] | None = None

    def serviceStarted(self) -> None:
        # The transport bounds the time of the whole login, so Conch's own timer is not started.
        self.authenticatedWith: list[bytes] = []
        self.loginAttempts = 0
        self.user = None
        self.nextService = None
        self.method = b"none"
        self.supportedAuthentications: list[bytes] = []

    def serviceStopped(self) -> None:
        self._waiting.clear()
        self._forget_response()

    # -- one request after the other (RFC 4252 5.1) -------------------------------------------------------------

    def ssh_USERAUTH_REQUEST(self, packet: bytes) -> None:
        if self._response is not None:
            # A new request abandons the question that is open (RFC 4256 3.1).
            self._forget_response()
        if not self._busy:
            self._start(packet)
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting.append(packet)
        else:
            self.transport.disconnect("Too many requests at once.", DISCONNECT_PROTOCOL_ERROR)

    def _start(self, packet: bytes) -> None:
        user, service, method, _ = getNS(packet, 3)
        if service != b"ssh-connection":
            self.transport.disconnect("Only the service ssh-connection is offered.", DISCONNECT_PROTOCOL_ERROR)
            return
        try:
            self._login = parse_user(user)
        except Refusal as refusal:
            self._turn_away(refusal)
            return
        closed = self._closed()
        if closed is not None:
            self._turn_away(closed)
            return
        self.supportedAuthentications = _methods(self._login)
        self.portal = self._portal_for(self.transport, self._login)
        self.method = method
        self._busy = True
        d = super().ssh_USERAUTH_REQUEST(packet)
        if d is None:
            self._done(None)
        else:
            d.addBoth(self._done)

    def _done(self, _: object) -> None:
        self._busy = False
        if self._waiting and not self.transport.is_over and self.transport.service is self:
            try:
                self._start(self._waiting.popleft())
            except Exception as problem:
                # Its bytes came earlier: nobody else would catch it.
                self.transport.unreadable(problem)

    # -- the methods ------------------------------------------------------------------------------------------

    def tryAuth(self, kind: bytes, user: bytes, data: bytes) -> Deferred[Any]:
        methods: dict[bytes, Callable[[bytes], Deferred[Any]]] = {
            b"none": self.auth_none,
            b"password": self.auth_password,
            b"keyboard-interactive": self.auth_keyboard_interactive,
            b"publickey": self.auth_publickey,
        }
        if kind not in methods or (kind not in self.supportedAuthentications and not self._none_will_do(kind)):
            return fail(error.ConchError("This method is not offered."))
        return methods[kind](data).addErrback(self._refused)

    def _none_will_do(self, kind: bytes) -> bool:
        return kind == b"none" and not self._login.auth and not self._login.key

    def auth_none(self, packet: bytes) -> Deferred[Any]:
        return self._log_in()

    def auth_password(self, packet: bytes) -> Deferred[Any]:
        """Any password will do: the token is the secret."""
        return self._log_in()

    def auth_keyboard_interactive(self, packet: bytes) -> Deferred[Any]:
        """One question; any answer will do (RFC 4256)."""
        prompt = NS(b"Password: ") + b"\0"
        self.transport.sendPacket(MSG_USERAUTH_INFO_REQUEST, NS(b"") + NS(b"") + NS(b"") + b"\0\0\0\1" + prompt)
        self._response = Deferred()
        return self._response.addCallback(lambda _: self._log_in())

    def ssh_USERAUTH_INFO_RESPONSE(self, packet: bytes) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.callback(None)

    def _forget_response(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.errback(error.IgnoreAuthentication())

    def _log_in(self) -> Deferred[Any]:
        d: Deferred[Any] = self.portal.login(Anonymous(), None, IConchUser)
        return d

    # -- refusals ---------------------------------------------------------------------------------------------

    def _refused(self, failure: Failure) -> Failure:
        if self.transport.is_over:
            raise error.IgnoreAuthentication()
        refusal = failure.value
        if isinstance(refusal, KeyUnknown):
            # ssh will offer its next key: this is no end yet.
            self._banner(refusal.text)
        elif isinstance(refusal, Refusal):
            self._turn_away(refusal)
            raise error.IgnoreAuthentication()
        return failure

    def _turn_away(self, refusal: Refusal) -> None:
        self._turned_away(refusal)
        self._banner(refusal.text)
        self.transport.disconnect(refusal.text, DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE)

    def _banner(self, text: str) -> None:
        self.transport.sendPacket(MSG_USERAUTH_BANNER, NS(f"{text}\r\n".encode()) + NS(b""))


def _methods(login: Login) -> list[bytes]:
    if login.key:
        return [b"publickey"]
    if login.auth:
        return [b"password", b"keyboard-interactive"]
    return [b"publickey", b"password", b"keyboard-interactive"]
