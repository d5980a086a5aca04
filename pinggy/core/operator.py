"""
What the operator may do: accounts, their tokens, keys, names and ports; edges; a look at tunnels, and closing one.

The same methods compose the all-in-one service: ``ensure_...`` are harmless when repeated.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace

from twisted.conch.ssh import keys
from twisted.internet.defer import Deferred

from pinggy.core.authority import digest_of
from pinggy.core.config import CoreSettings
from pinggy.core.edge_place import check_place
from pinggy.core.ledger import Ledger, Transaction, close_order, closing, news_of
from pinggy.core.news import EdgesChanged
from pinggy.core.places import displaced_by
from pinggy.settings import Secret
from pinggy.tunnel.endings import ClosedByOperator
from pinggy.tunnel.names import offered_label, parse_label
from pinggy.tunnel.refusals import Conflict, Fault, MalformedMessage, NotFound, PortsUsedUp, echo
from pinggy.tunnel.token import new_token
from pinggy.wire import operator
from pinggy.wire.messages import Done

_ACCOUNT = re.compile(r"[a-z0-9._@-]{1,64}", re.ASCII)
_EDGE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_LONGEST_COMMENT = 200
_LONGEST_KEY = 16 * 1024
_MOST_ADDRESSES = 16
_SHORTEST_SECRET = 16


class Operator:
    """
    Each method refuses with `NotFound`, `Conflict`, `MalformedMessage` or what refuses names and ports: it raises where
    the message alone is wrong, and its Deferred fails where the ledger has the reason.
    """

    def __init__(self, ledger: Ledger, settings: CoreSettings) -> None:
        self._ledger = ledger
        self._settings = settings

    # -- accounts ---------------------------------------------------------------------------------------------

    def accounts(self) -> Deferred[operator.Accounts]:
        async def work(ledger: Transaction) -> operator.Accounts:
            return operator.Accounts(accounts=await ledger.accounts())

        return self._ledger.transact(work)

    def add_account(self, message: operator.AddAccount) -> Deferred[operator.Account]:
        name = _account_name(message.name)

        async def work(ledger: Transaction) -> operator.Account:
            if not await ledger.add_account(name):
                raise Conflict(f"There is an account {name} already.")
            return next(each for each in await ledger.accounts() if each.name == name)

        return self._ledger.transact(work, repeatable=False)

    def ensure_account(self, name: str) -> Deferred[Done]:
        name = _account_name(name)

        async def work(ledger: Transaction) -> Done:
            await ledger.add_account(name)
            return Done()

        return self._ledger.transact(work)

    # -- tokens -----------------------------------------------------------------------------------------------

    def tokens(self, account: str | None = None) -> Deferred[operator.Tokens]:
        async def work(ledger: Transaction) -> operator.Tokens:
            return operator.Tokens(tokens=await ledger.tokens(_filter(account)))

        return self._ledger.transact(work)

    def add_token(self, message: operator.AddToken) -> Deferred[operator.NewToken]:
        comment = _comment(message.comment)

        async def work(ledger: Transaction) -> operator.NewToken:
            await _must_have(ledger, message.account)
            token = new_token()
            if not await ledger.add_token(
                token.prefix, token.digest, message.account, comment, newest_wins=message.newest_wins
            ):
                raise Fault.of()  # its public part was drawn before: once in ten years
            return operator.NewToken(token=token.secret, prefix=token.prefix, account=message.account)

        return self._ledger.transact(work, repeatable=False)

    def set_token(self, message: operator.SetToken) -> Deferred[Done]:
        """Tunnels that are there already stay as they are."""

        async def work(ledger: Transaction) -> Done:
            if "\0" in message.prefix or not await ledger.set_token(message.prefix, message.newest_wins):
                raise NotFound(f"There is no token {echo(message.prefix)}.")
            return Done()

        return self._ledger.transact(work)

    def revoke_token(self, prefix: str) -> Deferred[Done]:
        """Tunnels that it has identified go on: close them one by one."""

        async def work(ledger: Transaction) -> Done:
            if "\0" in prefix or not await ledger.revoke_token(prefix):
                raise NotFound(f"There is no token {echo(prefix)}.")
            return Done()

        return self._ledger.transact(work)

    # -- keys -------------------------------------------------------------------------------------------------

    def keys(self, account: str | None = None) -> Deferred[operator.Keys]:
        async def work(ledger: Transaction) -> operator.Keys:
            return operator.Keys(keys=await ledger.keys(_filter(account)))

        return self._ledger.transact(work)

    def add_key(self, message: operator.AddKey) -> Deferred[operator.Key]:
        fingerprint, kind, comment = read_key(message.line)

        async def work(ledger: Transaction) -> operator.Key:
            await _must_have(ledger, message.account)
            if not await ledger.add_key(message.account, fingerprint, kind, comment):
                owner = await ledger.account_of_key(fingerprint)
                raise Conflict(f"The key {fingerprint} is registered already, by the account {owner}.")
            return next(each for each in await ledger.keys(message.account) if each.fingerprint == fingerprint)

        return self._ledger.transact(work, repeatable=False)

    def remove_key(self, fingerprint: str) -> Deferred[Done]:
        async def work(ledger: Transaction) -> Done:
            if "\0" in fingerprint or not await ledger.remove_key(fingerprint):
                raise NotFound(f"There is no key {echo(fingerprint)}.")
            return Done()

        return self._ledger.transact(work, repeatable=False)

    # -- names ------------------------------------------------------------------------------------------------

    def names(self, account: str | None = None) -> Deferred[operator.ReservedNames]:
        async def work(ledger: Transaction) -> operator.ReservedNames:
            return operator.ReservedNames(names=await ledger.names(_filter(account)))

        return self._ledger.transact(work)

    def reserve_name(self, message: operator.ReserveName) -> Deferred[operator.ReservedName]:
        """Whoever has a live tunnel on it keeps it until that ends."""

        async def work(ledger: Transaction) -> operator.ReservedName:
            label = offered_label(message.name, await ledger.regions(), self._settings.kept)
            await _must_have(ledger, message.account)
            if not await ledger.reserve_name(message.account, label):
                owner = await ledger.account_of_name(label)
                raise Conflict(f"The name {label} is reserved already, by the account {owner}.")
            return next(each for each in await ledger.names(message.account) if each.name == label)

        return self._ledger.transact(work, repeatable=False)

    def ensure_name(self, account: str, name: str) -> Deferred[Done]:
        """Fails with `Conflict` where another account has reserved it."""

        async def work(ledger: Transaction) -> Done:
            label = offered_label(name, await ledger.regions(), self._settings.kept)
            await _must_have(ledger, account)
            await ledger.reserve_name(account, label)
            owner = await ledger.account_of_name(label)
            if owner != account:
                raise Conflict(f"The name {label} is reserved already, by the account {owner}.")
            return Done()

        return self._ledger.transact(work)

    def free_name(self, name: str) -> Deferred[Done]:
        """A live tunnel on it goes on; the next claim decides."""

        async def work(ledger: Transaction) -> Done:
            if "\0" in name or not await ledger.free_name(name):
                raise NotFound(f"There is no reserved name {echo(name)}.")
            return Done()

        return self._ledger.transact(work, repeatable=False)

    # -- ports ------------------------------------------------------------------------------------------------

    def ports(self, account: str | None = None) -> Deferred[operator.ReservedPorts]:
        async def work(ledger: Transaction) -> operator.ReservedPorts:
            return operator.ReservedPorts(ports=await ledger.ports(_filter(account)))

        return self._ledger.transact(work)

    def reserve_port(self, message: operator.ReservePort) -> Deferred[operator.ReservedPort]:
        first, last = self._settings.ports.first, self._settings.ports.last
        if message.port is not None and not first <= message.port <= last:
            raise MalformedMessage(f"Port {message.port} is not one of this service: they go from {first} to {last}.")

        async def work(ledger: Transaction) -> operator.ReservedPort:
            await _must_have(ledger, message.account)
            port = message.port if message.port is not None else await ledger.any_port(first, last, ())
            if port is None:
                raise PortsUsedUp.of()
            if not await ledger.reserve_port(message.account, port):
                owner = await ledger.account_of_port(port)
                raise Conflict(f"Port {port} is reserved already, by the account {owner}.")
            return next(each for each in await ledger.ports(message.account) if each.port == port)

        return self._ledger.transact(work, repeatable=False)

    def free_port(self, port: str) -> Deferred[Done]:
        async def work(ledger: Transaction) -> Done:
            if not re.fullmatch("[0-9]{1,5}", port, re.ASCII) or not await ledger.free_port(int(port)):
                raise NotFound(f"There is no reserved port {echo(port)}.")
            return Done()

        return self._ledger.transact(work, repeatable=False)

    # -- edges ------------------------------------------------------------------------------------------------

    def edges(self) -> Deferred[operator.Edges]:
        async def work(ledger: Transaction) -> operator.Edges:
            return operator.Edges(edges=await ledger.edges())

        return self._ledger.transact(work)

    def add_edge(self, message: operator.AddEdge) -> Deferred[operator.NewEdge]:
        edge = _edge(message)
        self._check_region(edge.region)
        secret = Secret(secrets.token_urlsafe(32))

        async def work(ledger: Transaction) -> operator.NewEdge:
            await _no_tunnel_on(ledger, edge.region)
            if not await ledger.add_edge(edge, digest_of(secret)):
                raise Conflict(f"There is an edge {edge.name} already.")
            await ledger.tell(EdgesChanged())
            return operator.NewEdge(name=edge.name, region=edge.region, secret=secret)

        return self._ledger.transact(work, repeatable=False)

    def place_edge(self, message: operator.PlaceEdge) -> Deferred[Done]:
        """Say where an edge is, or no longer."""
        check_place(message)

        async def work(ledger: Transaction) -> Done:
            if "\0" in message.name or not await ledger.place_edge(message):
                raise NotFound(f"There is no edge {echo(message.name)}.")
            await ledger.tell(EdgesChanged())
            return Done()

        return self._ledger.transact(work)

    def ensure_edge(self, name: str, region: str, addresses: Sequence[str], secret: Secret) -> Deferred[Done]:
        """There is an edge *name* of this *region*, these *addresses* and this *secret* (16 characters or more)."""
        edge = _edge(operator.AddEdge(name=name, region=region, addresses=tuple(addresses)))
        if len(secret.reveal()) < _SHORTEST_SECRET:
            raise MalformedMessage(f"An edge's secret has {_SHORTEST_SECRET} characters or more.")
        self._check_region(region)

        async def work(ledger: Transaction) -> Done:
            if not await ledger.add_edge(edge, digest_of(secret)):
                await ledger.change_edge(edge, digest_of(secret))
            await ledger.tell(EdgesChanged())
            return Done()

        return self._ledger.transact(work)

    def remove_edge(self, name: str) -> Deferred[Done]:
        """Its secret is of no use any more, its tunnels are over."""

        async def work(ledger: Transaction) -> Done:
            if "\0" in name:
                raise NotFound(f"There is no edge {echo(name)}.")
            start = await ledger.register_edge(name, f"removed-{secrets.token_hex(8)}", ())
            ended = await ledger.end(start.left, ClosedByOperator.of())
            # Its neighbours are known only while it is there.
            orders = await displaced_by(ledger, ended)
            if not await ledger.remove_edge(name):
                raise NotFound(f"There is no edge {echo(name)}.")
            await ledger.order(orders)
            await ledger.tell(EdgesChanged(), *news_of(ended))
            return Done()

        return self._ledger.transact(work, repeatable=False)

    def _check_region(self, region: str) -> None:
        """A name of the zone has one meaning."""
        entry = self._settings.entry
        if entry is not None and region == entry.label(self._settings.domain):
            raise Conflict(f"The name {region} is that of the entry: it cannot be a region.")

    # -- tunnels ----------------------------------------------------------------------------------------------

    def tunnels(self, account: str | None = None, history: bool = False) -> Deferred[operator.Tunnels]:
        async def work(ledger: Transaction) -> operator.Tunnels:
            return operator.Tunnels(tunnels=await ledger.tunnels(_filter(account), history))

        return self._ledger.transact(work)

    def close_tunnel(self, tunnel: str) -> Deferred[Done]:
        """Its edge is ordered to close it."""
        reason = ClosedByOperator.of()

        async def work(ledger: Transaction) -> Done:
            ended = () if "\0" in tunnel else await ledger.end((tunnel,), reason)
            if not ended:
                raise NotFound(f"There is no live tunnel {echo(tunnel)}.")
            old = await ledger.finish_handovers((tunnel,))
            orders = [*(close_order(each, reason) for each in ended), *closing(old)]
            await ledger.order([*orders, *await displaced_by(ledger, ended)])
            await ledger.tell(*news_of(ended))
            return Done()

        return self._ledger.transact(work, repeatable=False)


def read_key(line: str) -> tuple[str, str, str]:
    """Fingerprint (as ``ssh-keygen -l`` prints it), type and comment of one line of an ``.pub`` file."""
    refused = MalformedMessage("This is not a public key: give one line of a .pub file, 'ssh-ed25519 AAAA... comment'.")
    words = line.strip().split(None, 2)
    if len(line) > _LONGEST_KEY or "\n" in line.strip() or len(words) < 2:
        raise refused
    try:
        blob = base64.b64decode(words[1].encode("ascii"), validate=True)
        kind = keys.Key.fromString(blob, type="blob").sshType().decode("ascii")
    except (ValueError, binascii.Error, keys.BadKeyError, IndexError, TypeError, OverflowError):
        raise refused from None
    except Exception as error:  # struct.error, cryptography's own: whatever a blob of garbage makes of Conch
        raise refused from error
    if kind != words[0]:
        raise MalformedMessage(f"This key says that it is {echo(words[0])}, but it is {kind}.")
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
    return f"SHA256:{digest}", kind, _comment(words[2] if len(words) > 2 else "")


def _account_name(name: str) -> str:
    if not _ACCOUNT.fullmatch(name):
        raise MalformedMessage(
            f"The account name {echo(name)} is not well formed: a-z, 0-9 and . _ @ - only, 64 characters at the most."
        )
    return name


def _filter(account: str | None) -> str | None:
    return None if account is None else _account_name(account)


def _comment(text: str) -> str:
    if len(text) > _LONGEST_COMMENT or not text.isprintable():
        raise MalformedMessage(f"A comment is one printable line, {_LONGEST_COMMENT} characters at the most.")
    return text


def _edge(edge: operator.AddEdge) -> operator.AddEdge:
    if not _EDGE.fullmatch(edge.name):
        raise MalformedMessage(f"The edge name {echo(edge.name)} is not well formed: a-z, 0-9 and inner hyphens.")
    parse_label(edge.region)
    check_place(edge)
    if not 1 <= len(edge.addresses) <= _MOST_ADDRESSES:
        raise MalformedMessage(f"An edge has 1 to {_MOST_ADDRESSES} public addresses.")
    try:
        addresses = tuple(str(ipaddress.ip_address(address)) for address in edge.addresses if "%" not in address)
    except ValueError:
        addresses = ()
    if len(addresses) != len(edge.addresses):
        raise MalformedMessage("An edge's addresses are its public IPv4 and IPv6 addresses.")
    return replace(edge, addresses=addresses)


async def _must_have(ledger: Transaction, account: str) -> None:
    if not _ACCOUNT.fullmatch(account) or not await ledger.has_account(account):
        raise NotFound(f"There is no account {echo(account)}.")


async def _no_tunnel_on(ledger: Transaction, region: str) -> None:
    """A region becomes a record of the zone: nobody's tunnel may have that name, nor come to have it."""
    owner = await ledger.account_of_name(region)
    if owner is not None:
        raise Conflict(f"The name {region} is reserved by the account {owner}: it cannot be a region.")
    if await ledger.holder_of_name(region) is not None:
        raise Conflict(f"A live tunnel has the name {region}: it cannot be a region until that is closed.")
