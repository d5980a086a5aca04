"""
Each "no" of the service: one class with a code for programs, an HTTP status and a sentence that the user reads.

A refusal travels: the core raises it, the wire carries code and text, the edge raises it again and the terminal
prints the text. `endings` has those by which a tunnel that lived is over, `refusal_codes` knows all of them.
"""

from __future__ import annotations

from typing import ClassVar

LONGEST_ECHO = 80


def echo(text: str) -> str:
    """*text* of a stranger, fit for a sentence: printable ASCII only, at most 80 characters."""
    short = text if len(text) <= LONGEST_ECHO else text[:LONGEST_ECHO] + "..."
    return "".join(char if " " <= char <= "~" else "?" for char in short)


class Refusal(Exception):
    """The root of the tree. ``str(refusal)`` is the sentence."""

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 403

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Unsaid(Refusal):
    """A refusal of a newer core whose code this edge does not know: the text is passed on as it came."""


# -- USER ----------------------------------------------------------------------------------------------------


class MalformedUser(Refusal):
    code = "malformed-user"
    status = 400


class UnknownKeyword(Refusal):
    code = "unknown-keyword"
    status = 400

    @classmethod
    def of(cls, word: str) -> UnknownKeyword:
        return cls(
            f"The keyword '{echo(word)}' is unknown: after the token, joined by +, may stand "
            "http tcp tls tlstcp udp auth force key qr aqr json."
        )


class TwoTypes(Refusal):
    code = "two-types"
    status = 400

    @classmethod
    def of(cls, first: str, second: str) -> TwoTypes:
        return cls(f"Two types at once, '{first}' and '{second}': a user name takes one; use named forwardings.")


class TokenMistyped(Refusal):
    code = "token-mistyped"
    status = 401

    @classmethod
    def of(cls) -> TokenMistyped:
        return cls("This token is mistyped: its checksum does not fit. Copy it again, the whole of it.")


class TokenUnknown(Refusal):
    code = "token-unknown"
    status = 401

    @classmethod
    def of(cls, prefix: str) -> TokenUnknown:
        return cls(f"The token {prefix}... is unknown or has been revoked: ask the operator for a new one.")


class KeyUnknown(Refusal):
    code = "key-unknown"
    status = 401

    @classmethod
    def of(cls) -> KeyUnknown:
        return cls("A key that your ssh offered is not registered here: have the operator add it.")


# -- forwardings ----------------------------------------------------------------------------------------------


class MalformedForwarding(Refusal):
    code = "malformed-forwarding"
    status = 400


class MalformedName(Refusal):
    code = "malformed-name"
    status = 400


class NameNotOffered(Refusal):
    """The zone's own labels and the operator's list."""

    code = "name-not-offered"

    @classmethod
    def of(cls, label: str) -> NameNotOffered:
        return cls(f"The name {echo(label)} belongs to the service itself: choose another.")


class NameNotYours(Refusal):
    code = "name-not-yours"

    @classmethod
    def of(cls, label: str) -> NameNotYours:
        return cls(f"The name {echo(label)} is reserved by another account: choose another.")


class NeedsAccount(Refusal):
    code = "needs-account"
    status = 401

    @classmethod
    def for_name(cls, label: str) -> NeedsAccount:
        return cls(f"The name {echo(label)} needs an account: sign in with a token, or ask without a name.")

    @classmethod
    def for_port(cls, port: int) -> NeedsAccount:
        return cls(f"Port {port} needs an account that has reserved it: ask without a port for a free one.")


class Busy(Refusal):
    """The name or port is held by a live tunnel of the same account."""

    code = "busy"
    status = 409

    @classmethod
    def of(cls, prefix: str) -> Busy:
        return cls(f"Login is not allowed: A tunnel with the same token ({echo(prefix)}) is already active.")


class Held(Refusal):
    """The name or port is held by a live tunnel of somebody else."""

    code = "held"
    status = 409

    @classmethod
    def of(cls, what: str) -> Held:
        return cls(f"{what} is in use by somebody else: choose another, or try again later.")


class PortNotYours(Refusal):
    code = "port-not-yours"

    @classmethod
    def of(cls, port: int) -> PortNotYours:
        return cls(f"Port {port} is not reserved by your account: ask without a port for a free one.")


class PortsUsedUp(Refusal):
    code = "ports-used-up"
    status = 503

    @classmethod
    def of(cls) -> PortsUsedUp:
        return cls("No public port is free at the moment: try again later.")


class PortNotBound(Refusal):
    code = "port-not-bound"
    status = 503

    @classmethod
    def of(cls, port: int) -> PortNotBound:
        return cls(f"Port {port} is taken by another program on the edge: tell the operator, or ask for another.")


class TwoDefaults(Refusal):
    code = "two-defaults"
    status = 400

    @classmethod
    def of(cls) -> TwoDefaults:
        return cls("Only one forwarding can go without a name: write -R NAME:1:HOST:PORT for the others.")


class AskedTwice(Refusal):
    code = "asked-twice"
    status = 400

    @classmethod
    def of(cls, what: str) -> AskedTwice:
        return cls(f"{echo(what)} is asked for twice by this connection.")


class TypeNotServed(Refusal):
    code = "type-not-served"
    status = 501

    @classmethod
    def of(cls, kind: str) -> TypeNotServed:
        return cls(f"Tunnels of type {kind} are not served here: use http, tcp, tls or tlstcp.")


class NoForwarding(Refusal):
    code = "no-forwarding"
    status = 400

    @classmethod
    def of(cls) -> NoForwarding:
        return cls("No forwarding was asked for: add -R0:localhost:8000, with the port of your local server.")


class NoneGranted(Refusal):
    code = "none-granted"


# -- arguments ------------------------------------------------------------------------------------------------


class UnknownArgument(Refusal):
    code = "unknown-argument"
    status = 400

    @classmethod
    def of(cls, word: str, why: str = "is not an option of this service") -> UnknownArgument:
        return cls(f"'{echo(word)}' {why}.")


# -- limits ---------------------------------------------------------------------------------------------------


class LimitReached(Refusal):
    code = "limit-reached"
    status = 429


class TooLong(Refusal):
    code = "too-long"
    status = 413


# -- parts that fail ------------------------------------------------------------------------------------------


class CoreAway(Refusal):
    code = "core-away"
    status = 503

    @classmethod
    def of(cls) -> CoreAway:
        return cls("The service cannot start new tunnels at the moment (its core does not answer): try again soon.")


class ZoneAway(Refusal):
    code = "zone-away"
    status = 503

    @classmethod
    def of(cls) -> ZoneAway:
        return cls("The name could not be published in DNS: try again soon.")


class Fault(Refusal):
    """Something of ours broke; the log has the details."""

    code = "fault"
    status = 500

    @classmethod
    def of(cls) -> Fault:
        return cls("Something broke inside the service; the operator's log has the details. Try again.")


class NotAuthentic(Refusal):
    """An edge or operator whose secret does not fit."""

    code = "not-authentic"
    status = 401

    @classmethod
    def of(cls) -> NotAuthentic:
        return cls("This call needs the secret of an edge or the operator's key, and it carried neither.")


class NotFound(Refusal):
    code = "not-found"
    status = 404


class Conflict(Refusal):
    code = "conflict"
    status = 409


class MalformedMessage(Refusal):
    code = "malformed-message"
    status = 400
