"""
What an edge may rely on, from the core in memory and from the real one alike.
"""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from twisted.internet.defer import CancelledError, Deferred, DeferredList

from pinggy.core.entry_settings import EntrySettings
from pinggy.dns.config import ZoneSettings
from pinggy.dns.powerdns.server import PowerDnsServer
from pinggy.edge.core_client import CoreClient
from pinggy.settings import Secret
from pinggy.tunnel import endings, refusals
from pinggy.tunnel.grant import ANONYMOUS, Forwarding, Identity, Limits
from pinggy.tunnel.request import Kind
from pinggy.tunnel.token import new_token
from pinggy.wire import operator as office
from pinggy.wire import ticket
from pinggy.wire.messages import (
    Authorize,
    Authorized,
    ByKey,
    ByToken,
    Credential,
    Done,
    Draining,
    Granted,
    Live,
    Lost,
    Nobody,
    Refused,
    Register,
    Registered,
    Release,
    Renew,
    Renewed,
    Usage,
    Want,
)
from pinggy.wire.orders import GRACE, AskOrders, Close, Drain, Orders, Probe, Probed, Undrain
from pinggy.wire.proof import Claim, verify
from tests.support import postgres as real
from tests.support.cores import Core, InMemory, OverHttp, token_of
from tests.support.postgres import Databases

postgres = real.postgres

Start = Callable[..., Awaitable[Core]]
asynchronous = pytest_twisted.ensureDeferred
_ids = itertools.count(1)


@pytest_twisted.async_yield_fixture(params=["in memory", "in doubt", "over HTTP"])
async def start(request: pytest.FixtureRequest, postgres: Databases, tmp_path: Path) -> AsyncIterator[Start]:
    """Start a core, with settings other than the usual ones where they are given; *grant_key*: with one."""
    started: list[OverHttp] = []

    async def in_memory(*, grant_key: bool = False, **changes: Any) -> Core:
        return InMemory(Ed25519PrivateKey.generate() if grant_key else None, **changes)

    async def in_doubt(*, grant_key: bool = False, **changes: Any) -> Core:
        return InMemory(Ed25519PrivateKey.generate() if grant_key else None, in_doubt=True, **changes)

    async def over_http(*, grant_key: bool = False, **changes: Any) -> Core:
        key = tmp_path / "grant.key" if grant_key else None
        started.append(await OverHttp.start(postgres.emptied(), grant_key=key, **changes))
        return started[-1]

    yield {"in memory": in_memory, "in doubt": in_doubt, "over HTTP": over_http}[request.param]
    for core in started:
        await core.stop()


def tunnel_id() -> str:
    return f"{next(_ids):032x}"


def http(number: int, name: str | None = None) -> Want:
    return Want(number=number, kind=Kind.HTTP, name=name)


def tcp(number: int, port: int | None = None) -> Want:
    return Want(number=number, kind=Kind.TCP, port=port)


def ask(*wants: Want, by: Secret | None = None, tunnel: str | None = None, **more: Any) -> Authorize:
    credential: Credential = Nobody() if by is None else ByToken(token=by)
    return Authorize(
        **{
            "tunnel": tunnel or tunnel_id(),
            "credential": credential,
            "address": "192.0.2.1",
            "wants": wants,
            **more,
        }
    )


def granted(answer: Authorized, index: int = 0) -> Forwarding:
    result = answer.results[index]
    assert isinstance(result, Granted), result
    return result.forwarding


def refused(answer: Authorized, index: int = 0) -> Refused:
    result = answer.results[index]
    assert isinstance(result, Refused), result
    return result


def codes(answer: Authorized) -> list[str]:
    return [result.code if isinstance(result, Refused) else "granted" for result in answer.results]


def lost_to(answer: Authorized) -> tuple[str, ...]:
    return tuple(each.tunnel for each in answer.lost)


@asynccontextmanager
async def answering(edge: CoreClient, *dead: str, instance: str = "i") -> AsyncIterator[None]:
    """Meanwhile the clients of *edge*, registered as *instance*, answer probes; those of the tunnels *dead* do not."""

    async def answer() -> None:
        last = 0
        while True:
            for order in (await edge.orders(AskOrders(instance=instance, after=last))).orders:
                last = order.number
                if isinstance(order, Probe):
                    await edge.probed(Probed(ask=order.ask, alive=order.tunnel not in dead))

    answers = Deferred.fromCoroutine(answer())
    yield
    answers.cancel()
    with pytest.raises(CancelledError):
        await answers


def closed_by(answer: Orders) -> list[str]:
    """The tunnels that *answer*, which orders nothing else, closes."""
    tunnels = []
    for order in answer.orders:
        assert isinstance(order, Close)
        tunnels.append(order.tunnel)
    return tunnels


# -- edges and identities ---------------------------------------------------------------------------------------


@asynchronous
async def test_an_edge_registers_and_learns_its_place(start: Start) -> None:
    core = await start()
    edge = await core.edge("e1", "eu")
    assert await edge.register(Register(instance="first")) == Registered(
        edge="e1", region="eu", domain="a.example", lease=30.0
    )


@asynchronous
async def test_a_new_instance_ends_the_tunnels_of_the_one_before(start: Start) -> None:
    core = await start()
    edge, other = await core.edge("e1"), await core.edge("e2")
    await edge.register(Register(instance="first"))
    await other.register(Register(instance="first"))
    mine, theirs = tunnel_id(), tunnel_id()
    await edge.authorize(ask(http(1), tunnel=mine))
    await other.authorize(ask(http(1), tunnel=theirs))
    await edge.register(Register(instance="first"))
    assert (await edge.renew(Renew(instance="first", tunnels=(Usage(tunnel=mine),)))).lost == ()
    await edge.register(Register(instance="second"))
    (lost,) = (await edge.renew(Renew(instance="second", tunnels=(Usage(tunnel=mine),)))).lost
    assert (lost.tunnel, lost.code) == (mine, endings.EdgeStopping.code)
    assert (await other.renew(Renew(instance="first", tunnels=(Usage(tunnel=theirs),)))).lost == ()


@asynchronous
async def test_nobody_is_anonymous(start: Start) -> None:
    edge = await (await start()).edge()
    assert await edge.identify(Nobody()) == ANONYMOUS


@asynchronous
async def test_a_token_says_the_account(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann")
    row = (await core.operator.tokens()).tokens[0]
    assert await edge.identify(ByToken(token=token)) == Identity(account="ann", label=row.prefix)


@asynchronous
async def test_a_token_that_is_mistyped_unknown_or_revoked_is_refused(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    with pytest.raises(refusals.TokenMistyped):
        await edge.identify(ByToken(token=Secret("pgy-nonsense")))
    with pytest.raises(refusals.TokenMistyped):
        await edge.identify(ByToken(token=Secret("no token \0 \ud800 at all")))
    unknown = new_token()
    with pytest.raises(refusals.TokenUnknown) as caught:
        await edge.identify(ByToken(token=unknown.secret))
    assert unknown.prefix in caught.value.text
    assert unknown.secret.reveal() not in caught.value.text
    token = await token_of(core, "ann")
    await core.operator.revoke_token((await core.operator.tokens()).tokens[0].prefix)
    with pytest.raises(refusals.TokenUnknown):
        await edge.identify(ByToken(token=token))
    with pytest.raises(refusals.TokenUnknown):
        await edge.authorize(ask(http(1), by=token))


@asynchronous
async def test_a_registered_key_says_the_account(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ann@home"
    await core.operator.ensure_account("ann")
    key = await core.operator.add_key(office.AddKey(account="ann", line=line))
    assert await edge.identify(ByKey(fingerprint=key.fingerprint)) == Identity(account="ann", label=key.fingerprint)
    with pytest.raises(refusals.KeyUnknown):
        await edge.identify(ByKey(fingerprint="SHA256:" + "A" * 43))
    with pytest.raises(refusals.MalformedMessage):
        await edge.identify(ByKey(fingerprint="\0"))


# -- names ------------------------------------------------------------------------------------------------------


@asynchronous
async def test_an_anonymous_tunnel_gets_a_random_name_that_ends(start: Start) -> None:
    edge = await (await start()).edge()
    answer = await edge.authorize(ask(http(1)))
    other = await edge.authorize(ask(http(1)))
    assert answer.identity == ANONYMOUS
    assert answer.limits == Limits(forwardings=20, channels=1000)
    assert answer.expires_in == pytest.approx(3600, abs=60)
    assert granted(answer).number == 1
    assert granted(answer).kind is Kind.HTTP
    assert len(granted(answer).name) >= 12
    assert granted(answer).name != granted(other).name
    assert granted(answer).epoch != granted(other).epoch


@asynchronous
async def test_an_anonymous_tunnel_has_no_say_in_its_name(start: Start) -> None:
    edge = await (await start()).edge()
    answer = await edge.authorize(ask(http(1), http(2, "blog"), tcp(3, 20001)))
    assert codes(answer) == ["granted", "needs-account", "needs-account"]


@asynchronous
async def test_an_account_gets_its_oldest_reserved_name_that_is_free(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann", names=("zebra", "apple"))
    first = await edge.authorize(ask(http(1), by=token))
    second = await edge.authorize(ask(http(1), by=token))
    assert granted(first).name == "zebra"
    assert granted(second).name == "apple"
    assert first.expires_in is None


@asynchronous
async def test_an_account_whose_names_are_all_busy_is_told_by_which_token(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    token = await token_of(core, "ann", names=("blog",))
    label = (await edge.authorize(ask(http(1), by=token))).identity.label
    async with answering(edge):
        answer = await edge.authorize(ask(http(7), by=token))
    assert refused(answer) == Refused(
        code="busy",
        text=f"Login is not allowed: A tunnel with the same token ({label}) is already active.",
        number=7,
    )


@asynchronous
async def test_an_account_without_a_reserved_name_gets_a_random_one(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    answer = await edge.authorize(ask(http(1), by=await token_of(core, "ann")))
    assert len(granted(answer).name) >= 12
    assert answer.expires_in is None


@asynchronous
async def test_a_name_may_be_said_with_the_domain(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann")
    answer = await edge.authorize(
        ask(http(1, "one.a.example"), http(2, "two.a.example."), http(3, "x.b.example"), by=token)
    )
    assert granted(answer, 0).name == "one"
    assert granted(answer, 1).name == "two"
    assert refused(answer, 2).code == "malformed-name"


NEVER_HAD = {
    "local": "name-not-offered",
    "www": "name-not-offered",
    "ns1": "name-not-offered",
    "WWW": "name-not-offered",
    "tcp-20001": "name-not-offered",
    "_acme-challenge": "name-not-offered",
    "*": "name-not-offered",
    "status": "name-not-offered",
    "www.a.example": "name-not-offered",
    "": "malformed-name",
    "..": "malformed-name",
    "Blog": "malformed-name",
    "a" * 64: "malformed-name",
    "a" * 100_000: "malformed-name",
    "bl\0og": "malformed-name",
    "b\u00fccher": "malformed-name",
    "xn--bcher-kva": "malformed-name",
    "\ud800": "malformed-name",
    "theirs": "name-not-yours",
}


@asynchronous
async def test_names_that_are_never_had(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    await token_of(core, "bob", names=("theirs",))
    wants = (http(number, name) for number, name in enumerate(NEVER_HAD, 1))
    answer = await edge.authorize(ask(*wants, http(100, "mine"), by=await token_of(core, "ann")))
    assert dict(zip(NEVER_HAD, codes(answer), strict=False)) == NEVER_HAD
    assert codes(answer)[-1] == "granted"


@asynchronous
async def test_names_that_nobody_reserved_are_free_unless_the_operator_says_no(start: Start) -> None:
    core = await start(free_names=False)
    edge = await core.edge()
    token = await token_of(core, "ann", names=("mine",))
    assert codes(await edge.authorize(ask(http(1, "blog"), http(2, "mine"), by=token))) == [
        "name-not-yours",
        "granted",
    ]


@asynchronous
async def test_a_name_of_somebody_else_is_held_and_not_taken(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    ann, bob = await token_of(core, "ann"), await token_of(core, "bob")
    holder = tunnel_id()
    await edge.authorize(ask(http(1, "blog"), by=ann, tunnel=holder))
    for force in (False, True):
        answer = await edge.authorize(ask(http(1, "blog"), by=bob, force=force))
        assert refused(answer) == Refused(
            code="held",
            text="The name blog is in use by somebody else: choose another, or try again later.",
            number=1,
        )
        assert lost_to(answer) == ()
    assert (await edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=holder),)))).lost == ()


@asynchronous
async def test_force_takes_a_name_from_the_same_account(start: Start) -> None:
    core = await start()
    edge, far = await core.edge("e1"), await core.edge("e2", "eu")
    token = await token_of(core, "ann")
    old, new = tunnel_id(), tunnel_id()
    before = await edge.authorize(ask(http(1, "blog"), http(2, "shop"), by=token, tunnel=old))
    after = await far.authorize(ask(http(1, "blog"), http(2, "shop"), by=token, tunnel=new, force=True))
    assert codes(after) == ["granted", "granted"]
    assert lost_to(after) == (old,)
    assert granted(after, 0).epoch > granted(before, 0).epoch
    assert granted(after, 1).epoch > granted(before, 1).epoch
    await far.live(Live(tunnel=new, numbers=(1, 2)))
    (lost,) = (await edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=old),)))).lost
    assert lost == Lost(tunnel=old, code="taken-over", text=endings.TakenOver.of("192.0.2.1").text)
    # What the old owner does late changes nothing.
    await edge.release(Release(tunnel=old, code="client-left"))
    assert (await far.renew(Renew(instance="i", tunnels=(Usage(tunnel=new),)))).lost == ()
    with pytest.raises(endings.TakenOver):
        await edge.live(Live(tunnel=old, numbers=(1,)))
    with pytest.raises(endings.TakenOver):
        await edge.authorize(ask(http(3, "more"), by=token, tunnel=old))


@asynchronous
async def test_force_of_the_default_forwarding_takes_the_first_name(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann", names=("one", "two"))
    first, second = tunnel_id(), tunnel_id()
    await edge.authorize(ask(http(1), by=token, tunnel=first))
    await edge.authorize(ask(http(1), by=token, tunnel=second, force=True))
    answer = await edge.authorize(ask(http(1), by=token, force=True))
    assert granted(answer).name == "one"
    assert lost_to(answer) == (first,)


@asynchronous
async def test_force_without_an_account_changes_nothing(start: Start) -> None:
    edge = await (await start()).edge()
    assert codes(await edge.authorize(ask(http(1), http(2, "blog"), force=True))) == ["granted", "needs-account"]


@asynchronous
async def test_named_forwardings_win_over_the_default_one(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann", names=("blog",))
    answer = await edge.authorize(ask(http(1), http(2, "blog"), by=token))
    assert granted(answer, 1).name == "blog"
    assert granted(answer, 0).name != "blog"


@asynchronous
async def test_a_named_forwarding_takes_the_name_from_the_default_one_of_its_own_tunnel(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    token = await token_of(core, "ann", names=("blog",))
    tunnel = tunnel_id()
    before = granted(await edge.authorize(ask(http(1), by=token, tunnel=tunnel)))
    answer = await edge.authorize(ask(http(2, "blog"), by=token, tunnel=tunnel))
    assert granted(answer).name == before.name == "blog"
    assert granted(answer).number == 2
    assert granted(answer).epoch > before.epoch
    assert lost_to(answer) == ()
    # The end of the default one is of no consequence any more.
    await edge.release(Release(tunnel=tunnel, code="client-left", numbers=(1,)))
    async with answering(edge):
        assert refused(await edge.authorize(ask(http(1, "blog"), by=token))).code == "busy"


@asynchronous
async def test_a_name_is_had_once_by_one_tunnel(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann")
    tunnel = tunnel_id()
    answer = await edge.authorize(ask(http(1, "blog"), http(2, "blog"), by=token, tunnel=tunnel, force=True))
    assert codes(answer) == ["granted", "asked-twice"]
    assert codes(await edge.authorize(ask(http(3, "blog"), by=token, tunnel=tunnel))) == ["asked-twice"]


@asynchronous
async def test_there_is_one_default_forwarding(start: Start) -> None:
    edge = await (await start()).edge()
    tunnel = tunnel_id()
    assert codes(await edge.authorize(ask(http(1), tcp(2), tunnel=tunnel))) == ["granted", "two-defaults"]
    assert codes(await edge.authorize(ask(http(3), tunnel=tunnel))) == ["two-defaults"]


@asynchronous
async def test_a_released_name_may_be_had_again_with_a_higher_epoch(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    ann, bob = await token_of(core, "ann"), await token_of(core, "bob")
    tunnel = tunnel_id()
    first = granted(await edge.authorize(ask(http(1, "blog"), by=ann, tunnel=tunnel)))
    await edge.release(Release(tunnel=tunnel, code="client-left"))
    second = granted(await edge.authorize(ask(http(1, "blog"), by=bob)))
    assert second.epoch > first.epoch


# -- ports ------------------------------------------------------------------------------------------------------


@asynchronous
async def test_a_tcp_tunnel_gets_a_free_port_of_the_range(start: Start) -> None:
    edge = await (await start()).edge()
    forwarding = granted(await edge.authorize(ask(tcp(1))))
    assert forwarding.port is not None
    assert 20000 <= forwarding.port <= 29999
    assert len(forwarding.name) >= 12


@asynchronous
async def test_a_reserved_port_comes_with_a_name_that_stays(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann", ports=(20007, 20003))
    first = granted(await edge.authorize(ask(tcp(1), by=token)))
    assert (first.port, first.name) == (20007, "tcp-20007")
    second = granted(await edge.authorize(ask(tcp(1, 20003), by=token)))
    assert (second.port, second.name) == (20003, "tcp-20003")


@asynchronous
async def test_a_reserved_port_is_busy_held_by_force_or_not_yours_as_names_are(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    ann, bob = await token_of(core, "ann", ports=(20007,)), await token_of(core, "bob")
    holder, taker = tunnel_id(), tunnel_id()
    before = granted(await edge.authorize(ask(tcp(1), by=ann, tunnel=holder)))
    async with answering(edge):
        assert refused(await edge.authorize(ask(tcp(1), by=ann))).code == "busy"
        assert refused(await edge.authorize(ask(tcp(1, 20007), by=ann))).code == "busy"
    assert refused(await edge.authorize(ask(tcp(1, 20007), by=bob, force=True))).code == "port-not-yours"
    assert refused(await edge.authorize(ask(tcp(1, 20008), by=ann))).code == "port-not-yours"
    assert refused(await edge.authorize(ask(tcp(1, 99999999999), by=ann))).code == "port-not-yours"
    after = await edge.authorize(ask(tcp(1), by=ann, tunnel=taker, force=True))
    assert granted(after).port == 20007
    assert granted(after).epoch > before.epoch
    assert lost_to(after) == (holder,)


@asynchronous
async def test_ports_that_the_edge_could_not_bind_are_avoided(start: Start) -> None:
    core = await start(ports=ports(21000, 21001))
    edge = await core.edge()
    tunnel = tunnel_id()
    assert granted(await edge.authorize(ask(tcp(1), taken_ports=(21000,)))).port == 21001
    first = granted(await edge.authorize(ask(tcp(1), tunnel=tunnel)))
    assert first.port == 21000
    again = await edge.authorize(ask(tcp(1), tunnel=tunnel, taken_ports=(21000,)))
    assert codes(again) == ["ports-used-up"]
    other = granted(await edge.authorize(ask(tcp(1))))
    assert other.port == 21000


@asynchronous
async def test_a_reserved_port_that_could_not_be_bound_is_refused(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann", ports=(20007,))
    tunnel = tunnel_id()
    await edge.authorize(ask(tcp(1), by=token, tunnel=tunnel))
    again = await edge.authorize(ask(tcp(1), tcp(2, 20007), by=token, tunnel=tunnel, taken_ports=(20007,)))
    assert codes(again) == ["port-not-bound", "port-not-bound"]


@asynchronous
async def test_ports_may_be_used_up(start: Start) -> None:
    core = await start(ports=ports(21000, 21000))
    edge = await core.edge()
    await edge.authorize(ask(tcp(1)))
    assert codes(await edge.authorize(ask(tcp(1)))) == ["ports-used-up"]


def ports(first: int, last: int) -> Any:
    from pinggy.core.config import PortSettings

    return PortSettings(first=first, last=last)


@asynchronous
async def test_udp_is_not_served(start: Start) -> None:
    edge = await (await start()).edge()
    assert codes(await edge.authorize(ask(Want(number=1, kind=Kind.UDP), http(2)))) == ["type-not-served", "granted"]


@asynchronous
async def test_every_kind_has_a_name(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann")
    answer = await edge.authorize(
        ask(
            Want(number=1, kind=Kind.TLS, name="a1"),
            Want(number=2, kind=Kind.TLSTCP, name="a2"),
            Want(number=3, kind=Kind.TCP, name="ignored"),
            http(4),
            by=token,
        )
    )
    assert codes(answer) == ["granted"] * 4
    assert [granted(answer, index).kind for index in range(4)] == [Kind.TLS, Kind.TLSTCP, Kind.TCP, Kind.HTTP]


# -- one tunnel's life ------------------------------------------------------------------------------------------


@asynchronous
async def test_authorizing_twice_gives_the_same_answer(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    message = ask(http(1), http(2, "blog"), Want(number=3, kind=Kind.TCP, name="x"), by=await token_of(core, "ann"))
    assert await edge.authorize(message) == await edge.authorize(message)


@asynchronous
async def test_a_later_message_extends_the_tunnel(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann")
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1), by=token, tunnel=tunnel))
    await edge.authorize(ask(http(2, "blog"), by=token, tunnel=tunnel))
    (row,) = (await core.operator.tunnels()).tunnels
    assert len(row.forwardings) == 2
    assert row.forwardings[1] == "http blog"


@asynchronous
async def test_a_tunnel_is_its_edges_and_its_identitys(start: Start) -> None:
    core = await start()
    edge, other = await core.edge("e1"), await core.edge("e2")
    token = await token_of(core, "ann")
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1), by=token, tunnel=tunnel))
    with pytest.raises(refusals.Conflict):
        await edge.authorize(ask(http(2), tunnel=tunnel))
    with pytest.raises(refusals.Conflict):
        await other.authorize(ask(http(2), by=token, tunnel=tunnel))
    with pytest.raises(endings.LeaseLost):
        await other.live(Live(tunnel=tunnel, numbers=(1,)))
    (lost,) = (await other.renew(Renew(instance="i", tunnels=(Usage(tunnel=tunnel, received=9),)))).lost
    assert lost.code == "lease-lost"
    assert await other.release(Release(tunnel=tunnel, code="client-left")) == Done()
    (row,) = (await core.operator.tunnels()).tunnels
    assert (row.edge, row.received, row.live) == ("e1", 0, False)


@asynchronous
async def test_a_tunnel_of_which_nothing_was_granted_is_none(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    tunnel = tunnel_id()
    assert codes(await edge.authorize(ask(http(1, "blog"), tunnel=tunnel))) == ["needs-account"]
    assert (await core.operator.tunnels()).tunnels == ()
    with pytest.raises(endings.LeaseLost):
        await edge.live(Live(tunnel=tunnel, numbers=(1,)))


@asynchronous
async def test_live_and_usage_are_seen_by_the_operator(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1), tunnel=tunnel))
    assert (await core.operator.tunnels()).tunnels[0].live is False
    assert await edge.live(Live(tunnel=tunnel, numbers=(1,))) == Done()
    await edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=tunnel, received=5, sent=2**40, visitors=3),)))
    (row,) = (await core.operator.tunnels()).tunnels
    assert (row.live, row.received, row.sent, row.visitors) == (True, 5, 2**40, 3)
    usage = Usage(tunnel=tunnel, received=6, sent=1, visitors=4)
    await edge.release(Release(tunnel=tunnel, code="client-silent", usage=usage))
    assert (await core.operator.tunnels()).tunnels == ()
    (row,) = (await core.operator.tunnels(history=True)).tunnels
    assert (row.live, row.received, row.sent, row.visitors, row.reason) == (False, 6, 2**40, 4, "client-silent")


@asynchronous
async def test_one_forwarding_is_released_alone(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann")
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1, "one"), http(2, "two"), by=token, tunnel=tunnel))
    for _ in range(2):
        await edge.release(Release(tunnel=tunnel, code="client-left", numbers=(1, 77)))
    assert (await core.operator.tunnels()).tunnels[0].forwardings == ("http two",)
    assert granted(await edge.authorize(ask(http(1, "one"), by=token))).name == "one"


@asynchronous
async def test_releasing_is_harmless_when_repeated_or_about_nothing(start: Start) -> None:
    edge = await (await start()).edge()
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1), tunnel=tunnel))
    for _ in range(2):
        assert await edge.release(Release(tunnel=tunnel, code="client-left")) == Done()
    assert await edge.release(Release(tunnel=tunnel_id(), code="client-left", numbers=(1,))) == Done()


@asynchronous
async def test_a_release_that_overtakes_its_authorization_leaves_no_orphan(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    tunnel = tunnel_id()
    await edge.release(Release(tunnel=tunnel, code="client-left"))
    with pytest.raises(endings.ClientLeft):
        await edge.authorize(ask(http(1), tunnel=tunnel))
    assert (await core.operator.tunnels()).tunnels == ()


@asynchronous
async def test_many_tunnels_are_renewed_at_once(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1), tunnel=tunnel))
    others = tuple(Usage(tunnel=tunnel_id()) for _ in range(9000))
    renewed = await edge.renew(Renew(instance="i", tunnels=(*others, Usage(tunnel=tunnel))))
    assert {lost.tunnel for lost in renewed.lost} == {usage.tunnel for usage in others}


@asynchronous
async def test_a_tunnel_whose_lease_is_over_is_swept(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    token = await token_of(core, "ann")
    silent, renewed = tunnel_id(), tunnel_id()
    await edge.authorize(ask(http(1, "silent"), by=token, tunnel=silent))
    await edge.authorize(ask(http(1, "renewed"), by=token, tunnel=renewed))
    core.age(20)
    await edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=renewed),)))
    await core.sweep.sweep()
    assert len((await core.operator.tunnels()).tunnels) == 2
    core.age(20)
    await core.sweep.sweep()
    assert [row.tunnel for row in (await core.operator.tunnels()).tunnels] == [renewed]
    (lost,) = (await edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=silent),)))).lost
    assert lost.code == "lease-lost"
    assert granted(await edge.authorize(ask(http(1, "silent"), by=token))).name == "silent"


@asynchronous
async def test_an_anonymous_tunnel_that_its_edge_forgot_to_end_is_swept(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1), tunnel=tunnel))
    core.age(3605)
    usages = (Usage(tunnel=tunnel),)
    assert (await edge.renew(Renew(instance="i", tunnels=usages))).lost == ()
    await core.sweep.sweep()
    assert (await edge.renew(Renew(instance="i", tunnels=usages))).lost == ()
    core.age(29)
    await edge.renew(Renew(instance="i", tunnels=usages))
    await core.sweep.sweep()
    assert (await edge.renew(Renew(instance="i", tunnels=usages))).lost[0].code == "expired"


@asynchronous
async def test_the_operator_closes_a_tunnel_and_its_edge_learns_it(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1), tunnel=tunnel))
    await core.operator.close_tunnel(tunnel)
    (lost,) = (await edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=tunnel),)))).lost
    reason = endings.ClosedByOperator.of()
    assert lost == Lost(tunnel=tunnel, code=reason.code, text=reason.text)
    with pytest.raises(endings.ClosedByOperator):
        await edge.live(Live(tunnel=tunnel, numbers=(1,)))


# -- orders -----------------------------------------------------------------------------------------------------


def after(number: int, instance: str = "i") -> AskOrders:
    return AskOrders(instance=instance, after=number)


async def registered(core: Core, name: str = "e1", region: str = "local") -> CoreClient:
    edge = await core.edge(name, region)
    assert (await edge.register(Register(instance="i"))).orders == 0
    return edge


@asynchronous
async def test_the_operators_close_is_an_order_for_the_edge_that_waits(start: Start) -> None:
    core = await start()
    edge, other = await registered(core), await registered(core, "e2")
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1), tunnel=tunnel))
    waiting, elsewhere = edge.orders(after(0)), other.orders(after(0))
    await core.operator.close_tunnel(tunnel)
    reason = endings.ClosedByOperator.of()
    close = Close(number=1, tunnel=tunnel, code=reason.code, text=reason.text)
    assert await waiting == Orders(orders=(close,))
    assert not elsewhere.called
    elsewhere.cancel()
    with pytest.raises(CancelledError):
        await elsewhere


@asynchronous
async def test_force_at_another_edge_is_an_order_for_the_edge_of_the_old_tunnel(start: Start) -> None:
    core = await start()
    edge, far = await registered(core, "e1", "eu"), await registered(core, "e2", "ap")
    token = await token_of(core, "ann")
    old, new, same = tunnel_id(), tunnel_id(), tunnel_id()
    await edge.authorize(ask(http(1, "blog"), by=token, tunnel=old))
    await far.authorize(ask(http(1, "blog"), by=token, tunnel=new, force=True, address="192.0.2.9"))
    waiting = edge.orders(after(0))
    assert not waiting.called
    await far.live(Live(tunnel=new, numbers=(1,)))
    reason = endings.TakenOver.of("192.0.2.9")
    close = Close(number=1, tunnel=old, code=reason.code, text=reason.text, grace=GRACE)
    assert await waiting == Orders(orders=(close,))
    # By a session at the same edge: that knows by the answer, and chooses the moment.
    assert lost_to(await far.authorize(ask(http(1, "blog"), by=token, tunnel=same, force=True))) == (new,)
    await far.live(Live(tunnel=same, numbers=(1,)))
    waiting = far.orders(after(0))
    await core.operator.close_tunnel(same)
    assert closed_by(await waiting) == [same]


@asynchronous
async def test_what_an_edge_says_itself_is_no_order(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    released, closed = tunnel_id(), tunnel_id()
    await edge.authorize(ask(http(1), tunnel=released))
    await edge.authorize(ask(http(1), tunnel=closed))
    await edge.release(Release(tunnel=released, code="client-left"))
    await core.operator.close_tunnel(closed)
    assert closed_by(await edge.orders(after(0))) == [closed]


async def close_tunnels(core: Core, edge: CoreClient, count: int) -> list[str]:
    tunnels = [tunnel_id() for _ in range(count)]
    for tunnel in tunnels:
        await edge.authorize(ask(http(1), tunnel=tunnel))
        await core.operator.close_tunnel(tunnel)
    return tunnels


@asynchronous
async def test_orders_stay_until_the_edge_asks_for_those_after_them(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    tunnels = await close_tunnels(core, edge, 3)
    answer = await edge.orders(after(0))
    first = answer.orders
    assert closed_by(answer) == tunnels
    assert [each.number for each in first] == [1, 2, 3]
    assert (await edge.orders(after(0))).orders == first
    assert (await edge.orders(after(2))).orders == first[2:]
    # Those that were asked past are gone.
    assert (await edge.orders(after(0))).orders == first[2:]
    waiting = edge.orders(after(3))
    (last,) = await close_tunnels(core, edge, 1)
    answer = await waiting
    assert closed_by(answer) == [last]
    assert answer.orders[0].number == 4


@asynchronous
async def test_an_edge_that_knows_orders_of_a_lost_ledger_misses_none_of_this_one(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    (tunnel,) = await close_tunnels(core, edge, 1)
    assert closed_by(await edge.orders(after(70))) == [tunnel]


@asynchronous
async def test_a_newer_poll_of_the_same_edge_answers_the_older_one(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    (tunnel,) = await close_tunnels(core, edge, 1)
    await edge.orders(after(0))
    answered: list[object] = []
    but_one: Deferred[None] = Deferred()

    def note(result: Any) -> Any:
        answered.append(result)
        if len(answered) == 4:
            but_one.callback(None)
        return result

    polls = [edge.orders(after(1)).addBoth(note) for _ in range(5)]
    # All but one have been answered when the fifth waits; in which order they came is the network's.
    answers = DeferredList([each.addErrback(lambda failure: failure.trap(CancelledError)) for each in polls])
    await but_one
    (tunnel,) = await close_tunnels(core, edge, 1)
    said = [result for succeeded, result in await answers]
    assert [each for result in said for each in closed_by(result)] == [tunnel]


@asynchronous
async def test_a_new_instance_gets_no_old_orders_and_an_old_one_no_new(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    await close_tunnels(core, edge, 2)
    waiting = edge.orders(after(2))
    assert (await edge.register(Register(instance="second"))).orders == 2
    (tunnel,) = await close_tunnels(core, edge, 1)
    with pytest.raises(refusals.Conflict):
        await waiting
    with pytest.raises(refusals.Conflict):
        await edge.orders(after(0))
    assert closed_by(await edge.orders(after(2, "second"))) == [tunnel]


@asynchronous
async def test_to_register_again_as_the_same_instance_drops_no_order(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    tunnels = await close_tunnels(core, edge, 3)
    await edge.orders(after(1))
    assert (await edge.register(Register(instance="i"))).orders == 1
    assert closed_by(await edge.orders(after(1))) == tunnels[1:]


@asynchronous
async def test_an_edge_that_never_registered_has_no_orders(start: Start) -> None:
    edge = await (await start()).edge()
    with pytest.raises(refusals.Conflict):
        await edge.orders(after(0))


# -- edges that are taken out of service --------------------------------------------------------------------------


async def is_draining(core: Core, name: str = "e1") -> bool:
    (edge,) = [each for each in (await core.operator.edges()).edges if each.name == name]
    return edge.draining


@asynchronous
async def test_an_edge_that_drains_gets_no_new_tunnels_and_keeps_those_it_has(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    tunnel = tunnel_id()
    await edge.authorize(ask(http(1), tunnel=tunnel))
    await edge.draining(Draining(instance="i"))
    assert await is_draining(core)
    with pytest.raises(endings.EdgeDraining):
        await edge.authorize(ask(http(1)))
    assert codes(await edge.authorize(ask(http(1), tunnel=tunnel))) == ["granted"]
    assert await edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=tunnel),))) == Renewed()
    # A new start of it serves.
    await edge.register(Register(instance="j"))
    assert not await is_draining(core)
    assert codes(await edge.authorize(ask(http(1)))) == ["granted"]


@asynchronous
async def test_what_an_earlier_instance_says_late_drains_nothing(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    await edge.register(Register(instance="j"))
    with pytest.raises(refusals.Conflict):
        await edge.draining(Draining(instance="i"))
    assert not await is_draining(core)
    with pytest.raises(refusals.MalformedMessage):
        await edge.draining(Draining(instance="no instance"))


@asynchronous
async def test_the_operator_drains_an_edge_by_an_order_and_lets_it_serve_again(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    waiting = edge.orders(after(0))
    await core.drains.begin("e1")
    assert await waiting == Orders(orders=(Drain(number=1),))
    assert await is_draining(core)
    await core.drains.end("e1")
    assert await edge.orders(after(1)) == Orders(orders=(Undrain(number=2),))
    assert codes(await edge.authorize(ask(http(1)))) == ["granted"]
    for nobody in ("e9", "e\0"):
        with pytest.raises(refusals.NotFound):
            await core.drains.begin(nobody)


# -- whose calls they are ---------------------------------------------------------------------------------------


@asynchronous
async def test_what_another_edge_says_or_repeats_of_a_tunnel_changes_nothing(start: Start) -> None:
    core = await start()
    edge, thief = await registered(core, "e1"), await registered(core, "e2")
    token = await token_of(core, "ann")
    tunnel, closed = tunnel_id(), tunnel_id()
    message = ask(http(1, "blog"), by=token, tunnel=tunnel)
    first = await edge.authorize(message)
    await edge.live(Live(tunnel=tunnel, numbers=(1,)))
    await edge.authorize(ask(http(1), by=token, tunnel=closed))
    await core.operator.close_tunnel(closed)
    before = (await core.operator.tunnels()).tunnels

    usage = Usage(tunnel=tunnel, received=10**9, sent=10**9, visitors=10**9)
    with pytest.raises(refusals.Conflict):
        await thief.authorize(message)
    with pytest.raises(refusals.Conflict):
        await thief.authorize(ask(http(2, "more"), by=token, tunnel=tunnel, force=True))
    with pytest.raises(endings.LeaseLost):
        await thief.live(Live(tunnel=tunnel, numbers=(1,)))
    await thief.release(Release(tunnel=tunnel, code="client-left", usage=usage))
    await thief.release(Release(tunnel=tunnel, code="client-left", numbers=(1,), usage=usage))
    assert (await thief.renew(Renew(instance="i", tunnels=(usage,)))).lost[0].code == "lease-lost"
    # The reason of an end is for the tunnel's own edge.
    assert (await thief.renew(Renew(instance="i", tunnels=(Usage(tunnel=closed),)))).lost[0].code == "lease-lost"
    # Neither its orders: with the same instance, or all of them asked past.
    waiting = thief.orders(after(2**40))
    assert not waiting.called
    await thief.register(Register(instance="another"))
    assert (await core.operator.tunnels()).tunnels == before
    assert await edge.authorize(message) == first
    assert closed_by(await edge.orders(after(0))) == [closed]
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting


@asynchronous
async def test_what_an_edge_repeats_when_it_is_over_changes_nothing(start: Start) -> None:
    core = await start()
    edge, far = await registered(core, "e1"), await registered(core, "e2")
    token = await token_of(core, "ann")
    old, new = tunnel_id(), tunnel_id()
    message = ask(http(1, "blog"), by=token, tunnel=old)
    await edge.authorize(message)
    release = Release(tunnel=old, code="client-left", usage=Usage(tunnel=old, received=1))
    await edge.release(release)
    await far.authorize(ask(http(1, "blog"), by=token, tunnel=new))
    with pytest.raises(endings.ClientLeft):
        await edge.authorize(message)
    with pytest.raises(endings.ClientLeft):
        await edge.live(Live(tunnel=old, numbers=(1,)))
    await edge.release(release)
    (row,) = (await core.operator.tunnels()).tunnels
    assert (row.tunnel, row.edge) == (new, "e2")


# -- proofs -----------------------------------------------------------------------------------------------------


@asynchronous
async def test_a_core_with_a_grant_key_proves_each_grant(start: Start) -> None:
    core = await start(grant_key=True)
    edge = await core.edge("e1", "eu")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(core.records.grant_key().key))
    message = ask(http(1, "blog"), tcp(2), by=await token_of(core, "ann"))
    answer = await edge.authorize(message)
    for result in answer.results:
        assert isinstance(result, Granted)
        name, epoch = f"{result.forwarding.name}.a.example", result.forwarding.epoch
        assert verify(result.proof, public) == Claim(name=name, target="eu.a.example", epoch=epoch)
    again = await edge.authorize(message)
    # A ticket is made anew, for it is as long again.
    assert replace(again, ticket="") == replace(answer, ticket="")


@asynchronous
async def test_a_core_without_one_proves_nothing(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    (result,) = (await edge.authorize(ask(http(1)))).results
    assert isinstance(result, Granted)
    assert result.proof == ""
    with pytest.raises(refusals.NotFound):
        core.records.grant_key()


# -- limits -----------------------------------------------------------------------------------------------------


def limits(**changes: int) -> Any:
    from pinggy.core.config import LimitSettings

    return LimitSettings(**changes)


@asynchronous
async def test_anonymous_tunnels_of_one_address_are_limited(start: Start) -> None:
    core = await start(limits=limits(anonymous_tunnels_per_address=2))
    edge = await core.edge()
    first = tunnel_id()
    await edge.authorize(ask(http(1), tunnel=first, address="2001:db8::1"))
    await edge.authorize(ask(http(1), address="2001:db8::2"))
    answer = await edge.authorize(ask(http(4), http(5), address="2001:db8::ffff:1"))
    assert codes(answer) == ["limit-reached"] * 2
    assert [refused(answer, index).number for index in (0, 1)] == [4, 5]
    assert codes(await edge.authorize(ask(http(2, "x"), tunnel=first, address="2001:db8::1"))) == ["needs-account"]
    assert codes(await edge.authorize(ask(http(1), address="2001:db8:0:1::1"))) == ["granted"]
    assert codes(await edge.authorize(ask(http(1), by=await token_of(core, "ann"), address="2001:db8::3"))) == [
        "granted"
    ]
    await edge.release(Release(tunnel=first, code="client-left"))
    assert codes(await edge.authorize(ask(http(1), address="2001:db8::1"))) == ["granted"]


@asynchronous
async def test_new_tunnels_of_one_address_are_limited_by_the_minute(start: Start) -> None:
    core = await start(limits=limits(new_tunnels_per_minute_per_address=2))
    edge = await core.edge()
    for _ in range(2):
        tunnel = tunnel_id()
        await edge.authorize(ask(http(1), tunnel=tunnel))
        await edge.release(Release(tunnel=tunnel, code="client-left"))
    assert codes(await edge.authorize(ask(http(1)))) == ["limit-reached"]
    assert codes(await edge.authorize(ask(http(1), address="::ffff:192.0.2.1"))) == ["limit-reached"]
    assert codes(await edge.authorize(ask(http(1), address="192.0.2.2"))) == ["granted"]
    core.age(61)
    assert codes(await edge.authorize(ask(http(1)))) == ["granted"]


@asynchronous
async def test_an_account_may_start_all_that_it_may_have_at_once_and_some_more(start: Start) -> None:
    core = await start(limits=limits(new_tunnels_per_minute_per_address=1, tunnels_per_account=2))
    edge = await core.edge()
    ann, bob = await token_of(core, "ann"), await token_of(core, "bob")
    # Somebody without an account at the same address is not counted with them, nor they with him.
    assert codes(await edge.authorize(ask(http(1)))) == ["granted"]
    for _ in range(3):
        tunnel = tunnel_id()
        assert codes(await edge.authorize(ask(http(1), by=ann, tunnel=tunnel))) == ["granted"]
        await edge.release(Release(tunnel=tunnel, code="client-left"))
    assert codes(await edge.authorize(ask(http(1), by=ann))) == ["limit-reached"]
    assert codes(await edge.authorize(ask(http(1), by=bob))) == ["granted"]
    core.age(61)
    assert codes(await edge.authorize(ask(http(1), by=ann))) == ["granted"]


@asynchronous
async def test_tunnels_of_one_account_are_limited(start: Start) -> None:
    core = await start(limits=limits(tunnels_per_account=1))
    edge = await core.edge()
    token = await token_of(core, "ann")
    assert codes(await edge.authorize(ask(http(1), by=token))) == ["granted"]
    assert codes(await edge.authorize(ask(http(1), by=token))) == ["limit-reached"]
    assert codes(await edge.authorize(ask(http(1), by=await token_of(core, "bob")))) == ["granted"]


@asynchronous
async def test_forwardings_of_one_tunnel_are_limited(start: Start) -> None:
    core = await start(limits=limits(forwardings_per_tunnel=2))
    edge = await core.edge()
    token = await token_of(core, "ann")
    tunnel = tunnel_id()
    assert codes(await edge.authorize(ask(http(1), http(2, "a"), http(3, "b"), by=token, tunnel=tunnel))) == [
        "limit-reached",
        "granted",
        "granted",
    ]
    assert codes(await edge.authorize(ask(http(4, "c"), by=token, tunnel=tunnel))) == ["limit-reached"]
    # Asked again after an answer that was not heard, it is not one more.
    assert codes(await edge.authorize(ask(http(2, "a"), by=token, tunnel=tunnel))) == ["granted"]


# -- nonsense ---------------------------------------------------------------------------------------------------


@asynchronous
async def test_nonsense_is_refused(start: Start) -> None:
    edge = await (await start()).edge()
    for message in (
        ask(http(1), tunnel="x"),
        ask(http(1), tunnel="A" * 32),
        ask(http(1), address="nowhere"),
        ask(http(1), address="\0"),
        ask(http(0)),
        ask(http(2**40)),
        ask(http(1), http(1)),
        ask(*(http(number) for number in range(1, 1002))),
        ask(tcp(1), taken_ports=(0,)),
    ):
        with pytest.raises(refusals.MalformedMessage):
            await edge.authorize(message)


@asynchronous
async def test_nonsense_in_other_messages_is_refused(start: Start) -> None:
    edge = await (await start()).edge()
    for call in (
        lambda: edge.register(Register(instance="\0")),
        lambda: edge.orders(AskOrders(instance="\0", after=0)),
        lambda: edge.orders(AskOrders(instance="i", after=-1)),
        lambda: edge.orders(AskOrders(instance="i", after=2**63)),
        lambda: edge.register(Register(instance="i", host_keys=("nonsense",))),
        lambda: edge.live(Live(tunnel="x", numbers=())),
        lambda: edge.live(Live(tunnel=tunnel_id(), numbers=(2**70,))),
        lambda: edge.renew(Renew(instance="i", tunnels=(Usage(tunnel="x"),))),
        lambda: edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=tunnel_id(), sent=2**63),))),
        lambda: edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=tunnel_id(), sent=-1),))),
        lambda: edge.release(Release(tunnel="x", code="a")),
        lambda: edge.release(Release(tunnel=tunnel_id(), code="NO\0")),
    ):
        with pytest.raises(refusals.MalformedMessage):
            await call()


@asynchronous
async def test_a_scope_is_no_part_of_an_address(start: Start) -> None:
    core = await start()
    edge = await core.edge()
    await edge.authorize(ask(http(1), address="fe80::1%eth0"))
    assert (await core.operator.tunnels()).tunnels[0].address == "fe80::1"


@asynchronous
async def test_where_edges_are_is_kept_and_may_be_said_again(start: Start) -> None:
    core = await start()

    async def place() -> tuple[float | None, float | None, str]:
        (edge,) = (await core.operator.edges()).edges
        return edge.latitude, edge.longitude, edge.aws_region

    where: dict[str, Any] = {"latitude": 53.35, "longitude": -6.26, "aws_region": "eu-west-1"}
    await core.operator.add_edge(office.AddEdge(name="eu-1", region="eu", addresses=("192.0.2.1",), **where))
    assert await place() == (53.35, -6.26, "eu-west-1")
    await core.operator.place_edge(office.PlaceEdge(name="eu-1", latitude=-90, longitude=180))
    assert await place() == (-90, 180, "")
    await core.operator.place_edge(office.PlaceEdge(name="eu-1"))
    assert await place() == (None, None, "")
    with pytest.raises(refusals.NotFound, match="no edge eu-2"):
        await core.operator.place_edge(office.PlaceEdge(name="eu-2"))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"latitude": 1.0}, "takes both"),
        ({"longitude": 1.0}, "takes both"),
        ({"latitude": 90.1, "longitude": 0.0}, "-90 to 90"),
        ({"latitude": 0.0, "longitude": -180.1}, "-180 to 180"),
        ({"latitude": float("nan"), "longitude": 0.0}, "-90 to 90"),
        ({"aws_region": "eu-west-9"}, "no region eu-west-9"),
    ],
)
@asynchronous
async def test_no_edge_is_where_nothing_can_be(start: Start, where: dict[str, Any], said: str) -> None:
    core = await start()
    with pytest.raises(refusals.MalformedMessage, match=said):
        await core.operator.add_edge(office.AddEdge(name="e", region="eu", addresses=("192.0.2.1",), **where))
    with pytest.raises(refusals.MalformedMessage, match=said):
        await core.operator.place_edge(office.PlaceEdge(name="e", **where))
    assert (await core.operator.edges()).edges == ()


@asynchronous
async def test_the_label_of_the_entry_is_nobodys(start: Start) -> None:
    server = PowerDnsServer(url="http://127.0.0.1:9", dns="127.0.0.1:9")
    core = await start(entry=EntrySettings(kind="lua", name="go"), zone=ZoneSettings(servers=(server,)))
    edge = await core.edge()
    await edge.register(Register(instance="i"))
    token = await token_of(core, "ann")
    with pytest.raises(refusals.NameNotOffered):
        await core.operator.ensure_name("ann", "go")
    answer = await edge.authorize(
        Authorize(tunnel=tunnel_id(), credential=ByToken(token=token), address="192.0.2.1", wants=(http(1, "go"),))
    )
    assert isinstance(answer.results[0], Refused)
    assert answer.results[0].code == refusals.NameNotOffered.code
    with pytest.raises(refusals.Conflict, match="that of the entry"):
        await core.operator.add_edge(office.AddEdge(name="e", region="go", addresses=("192.0.2.1",)))


# -- tickets ----------------------------------------------------------------------------------------------------------


async def key_and_edge(core: Core) -> tuple[Ed25519PublicKey, CoreClient]:
    edge = await core.edge("e1")
    registered = await edge.register(Register(instance="i"))
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(registered.grant_key)), edge


@asynchronous
async def test_an_accounts_grant_comes_with_a_ticket_for_all_of_it(start: Start) -> None:
    core = await start(grant_key=True, resume=300.0)
    key, edge = await key_and_edge(core)
    token, tunnel = await token_of(core, "ann", names=("blog",)), tunnel_id()
    first = await edge.authorize(ask(http(1), by=token, tunnel=tunnel))
    of_first = ticket.verify(first.ticket, key)
    assert (of_first.tunnel, of_first.identity) == (tunnel, first.identity)
    assert of_first.credential == ticket.digest_of(ByToken(token=token))
    assert of_first.forwardings == (granted(first),)
    assert 0 <= time.time() + 300 - of_first.not_after < 60
    # A later one of the tunnel is for what it had before too.
    second = await edge.authorize(ask(http(2, "shop"), by=token, tunnel=tunnel, ticket=first.ticket))
    assert ticket.verify(second.ticket, key).forwardings == (granted(first), granted(second))
    # But not for what another tunnel has.
    other = await edge.authorize(ask(http(1, "club"), by=token, ticket=first.ticket))
    assert ticket.verify(other.ticket, key).forwardings == (granted(other),)


@asynchronous
@pytest.mark.parametrize(
    ("settings", "named"),
    [({"grant_key": True, "resume": 0.0}, True), ({}, True), ({"grant_key": True}, False)],
    ids=["off", "no key", "no account"],
)
async def test_there_is_no_ticket(start: Start, settings: dict[str, Any], named: bool) -> None:
    core = await start(**settings)
    edge = await registered(core)
    token = await token_of(core, "ann") if named else None
    answer = await edge.authorize(ask(http(1), by=token))
    assert granted(answer)
    assert answer.ticket == ""


@asynchronous
async def test_tickets_of_tunnels_that_go_on_are_renewed(start: Start) -> None:
    core = await start(grant_key=True)
    key, edge = await key_and_edge(core)
    token = await token_of(core, "ann")
    live, over = tunnel_id(), tunnel_id()
    tickets = [(await edge.authorize(ask(http(1), by=token, tunnel=each))).ticket for each in (live, over)]
    await edge.release(Release(tunnel=over, code="client-left"))
    usages = (Usage(tunnel=live), Usage(tunnel=over))
    (renewed,) = (await edge.renew(Renew(instance="i", tunnels=usages, tickets=(*tickets, "nonsense")))).tickets
    before, after = ticket.verify(tickets[0], key), ticket.verify(renewed, key)
    assert after.not_after >= before.not_after
    assert replace(after, not_after=before.not_after) == before
    # Whoever does not hold the tunnel gets none.
    far = await registered(core, "e2", "eu")
    assert (await far.renew(Renew(instance="i", tunnels=usages, tickets=tuple(tickets)))).tickets == ()
