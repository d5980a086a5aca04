"""
The terminal: a session channel (RFC 4254 6) whose command words are the policy, and which shows one thing a line.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from twisted.conch.ssh.common import getNS
from twisted.internet.interfaces import IReactorTime

from pinggy.edge.client_tunnel import ClientTunnel
from pinggy.edge.ssh.channel import FlowChannel
from pinggy.edge.ssh.silence import SILENT
from pinggy.edge.timer import Timer
from pinggy.edge.watchers import MOST_REMEMBERED
from pinggy.tunnel.arguments import check_suits, parse_policy, split_command
from pinggy.tunnel.endings import ClientLeft
from pinggy.tunnel.grant import Forwarding
from pinggy.tunnel.refusals import Refusal

_CTRL_C = b"\x03"
_MOST_QUEUED = 64 * 1024  # bytes of lines that wait for a terminal which reads nothing


class Console(FlowChannel):
    """One session. Implements `client.Watcher`; lines are text, or with the keyword ``json`` objects."""

    _log = SILENT
    name = b"session"

    def __init__(
        self,
        tunnel: ClientTunnel,
        clock: IReactorTime,
        notice: str,
        when_closed: Callable[[Console], None],
        **window: int,
    ) -> None:
        super().__init__(localWindow=32 * 1024, **window)
        self._tunnel = tunnel
        self._notice = notice
        self._when_closed = when_closed
        self._words: bytes | None = None
        self._has_pty = False
        self._greeted = False
        self._announced = False
        self._finished = False
        self._live: list[Forwarding] = []
        self._refusals: list[Refusal] = []
        self._start = Timer(clock, self._read_command)

    # -- what Conch calls -------------------------------------------------------------------------------------------

    def channelOpen(self, specificData: bytes) -> None:
        super().channelOpen(specificData)
        self._tunnel.session_opened()

    def request_pty_req(self, data: bytes) -> bool:
        self._has_pty = True
        return True

    def request_env(self, data: bytes) -> bool:
        return True

    def request_window_change(self, data: bytes) -> bool:
        return True

    def request_shell(self, data: bytes) -> bool:
        return self._command(b"")

    def request_exec(self, data: bytes) -> bool:
        return self._command(getNS(data)[0])

    def requestReceived(self, requestType: bytes, data: bytes) -> Any:
        """Only the requests above; others (x11, agent, subsystems) fail."""
        name = "request_" + requestType.replace(b"-", b"_").decode("ascii", "replace")
        method = getattr(self, name, None)
        return method(data) if method is not None else False

    def dataReceived(self, data: bytes) -> None:
        """With a pty the terminal is raw: Ctrl-C comes as a byte."""
        if self._has_pty and _CTRL_C in data:
            self._tunnel.end(ClientLeft("You have closed the tunnel."))

    def closed(self) -> None:
        self._start.stop()
        self._tunnel.unwatch(self)
        self._when_closed(self)

    # -- the command ------------------------------------------------------------------------------------------------

    def _command(self, words: bytes) -> bool:
        if self._words is not None:
            return False
        self._words = words
        # The reply to this request goes first: nothing may be closed before it.
        self._start.start(0)
        return True

    def _read_command(self) -> None:
        assert self._words is not None
        if self._announced:
            return
        try:
            policy = parse_policy(split_command(self._words))
            check_suits(policy, self._tunnel.login.kind)
        except Refusal as refusal:
            self._tunnel.end(refusal)
            return
        self._tunnel.command_read(policy)
        self._tunnel.watch(self)

    # -- client.Watcher ---------------------------------------------------------------------------------------------

    def opened(self, forwarding: Forwarding) -> None:
        self._live.append(forwarding)

    def refused(self, refusal: Refusal) -> None:
        self._refusals.append(refusal)
        del self._refusals[:-MOST_REMEMBERED]

    def settled(self) -> None:
        """Show what has come since the last time: notices once, then URLs, then refusals."""
        live, self._live = self._live, []
        refusals, self._refusals = self._refusals, []
        if live and not self._greeted:
            self._greeted = True
            self._greet()
        if live:
            self._urls(live)
        if not self._tunnel.forwardings() and refusals:
            # All were refused, and the last sentence is the reason of the end.
            for refusal in refusals[:-1]:
                self._refusal(refusal)
            self._tunnel.end(refusals[-1])
            return
        for refusal in refusals:
            self._refusal(refusal)

    def tell(self, code: str, text: str) -> None:
        """Show what happens to the tunnel."""
        if not self._announced:
            self._show({"type": "event", "code": code, "message": text}, text)

    def announce(self, reason: Refusal) -> None:
        """Show the reason, which stays the last line."""
        if self._announced:
            return
        self._show({"type": "ended", "code": reason.code, "message": reason.text}, reason.text)
        self._announced = True

    def finish(self, reason: Refusal) -> None:
        """Show the reason as the last line, unless it is, and close with an exit status that is not 0."""
        if self._finished:
            return
        self._finished = True
        self.announce(reason)
        self.conn.sendRequest(self, b"exit-status", struct.pack(">L", 1))
        self.end()
        self.loseConnection()

    # -- lines ------------------------------------------------------------------------------------------------------

    def _greet(self) -> None:
        tunnel = self._tunnel
        if tunnel.identity.account is None:
            text = "You are not authenticated."
            self._show({"type": "notice", "message": text}, text)
        if tunnel.expires_in is not None:
            minutes = max(1, round(tunnel.expires_in / 60))
            text = f"Your tunnel will expire in {minutes} minute{'s' if minutes > 1 else ''}. {self._notice}".rstrip()
            self._show({"type": "notice", "message": text}, text)

    def _urls(self, live: list[Forwarding]) -> None:
        if self._tunnel.login.json:
            self._show({"type": "urls", "urls": self._tunnel.urls(*live)}, "")
            return
        for url in self._tunnel.urls(*live):
            self._line(url)

    def _refusal(self, refusal: Refusal) -> None:
        self._show({"type": "refused", "code": refusal.code, "message": refusal.text}, refusal.text)

    def _show(self, event: dict[str, object], text: str) -> None:
        self._line(json.dumps(event) if self._tunnel.login.json else text)

    def _line(self, text: str) -> None:
        if self.queued() < _MOST_QUEUED:
            ending = "\r\n" if self._has_pty else "\n"
            self.write((text + ending).encode())
