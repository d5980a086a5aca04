"""
What the operator is told when he asks whether all is well: of the core in memory and of the real one alike.
"""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from pinggy.core.asks import ATTACH_WAIT
from pinggy.edge.core_client import CoreClient
from pinggy.tunnel.refusals import NotFound
from pinggy.wire.doctor import Diagnosis, Finding, State
from pinggy.wire.messages import Holding, Live, Register, Release, Report
from pinggy.wire.orders import AskOrders, Examine, Examined, LocalServer
from tests.contracts import test_core as suite
from tests.contracts.test_core import Start, ask, granted, http, tcp, tunnel_id
from tests.support.cores import Core, InMemory, token_of

postgres = suite.postgres
start = suite.start
asynchronous = pytest_twisted.ensureDeferred

LEASE = 30.0


async def passed(core: Core, asked: Deferred[Diagnosis]) -> Diagnosis:
    """What is answered; an edge without a stream is known to be that by then."""
    if isinstance(core, InMemory):
        core.age(2 * ATTACH_WAIT)
    return await asked


async def of_all(core: Core) -> Diagnosis:
    return await passed(core, core.doctor.all())


async def of_one(core: Core, subject: str) -> Diagnosis:
    return await passed(core, core.doctor.one(subject))


def found(diagnosis: Diagnosis, check: str, subject: str | None = None) -> Finding:
    """The only one of its kind."""
    (finding,) = [
        finding
        for section in diagnosis.sections
        for finding in section.findings
        if finding.check == check and subject in (None, finding.subject)
    ]
    return finding


def wrongs(diagnosis: Diagnosis) -> list[str]:
    findings = [finding for section in diagnosis.sections for finding in section.findings]
    return [finding.check for finding in findings if finding.state is State.WRONG]


class Stream:
    """An edge's stream of orders: each question about a tunnel is answered with what *examined* makes of it."""

    def __init__(self, client: CoreClient) -> None:
        self.client = client
        self.examined = lambda order: Examined(ask=order.ask, held=False)
        self._polling = Deferred.fromCoroutine(self._poll())

    async def _poll(self) -> None:
        after = 0
        while True:
            for order in (await self.client.orders(AskOrders(instance="i", after=after))).orders:
                after = order.number
                if isinstance(order, Examine):
                    # Not from here: whoever is waiting for it may stop this.
                    reactor.callLater(0, self._answer, self.examined(order))

    def _answer(self, examined: Examined) -> None:
        self.client.examined(examined)

    def stop(self) -> None:
        self._polling.addErrback(lambda _: None)
        self._polling.cancel()


async def attached(core: Core, name: str = "e1", **more: Any) -> Stream:
    client = await core.edge(name)
    await client.register(Register(instance="i", **more))
    return Stream(client)


async def live(core: Core, stream: Stream, *names: str) -> str:
    """A live tunnel of alice."""
    token = await token_of(core, "alice")
    wants = tuple(http(number, name) for number, name in enumerate(names, 1))
    tunnel = tunnel_id()
    await stream.client.authorize(ask(*wants, by=token, tunnel=tunnel))
    await stream.client.live(Live(tunnel=tunnel, numbers=tuple(each.number for each in wants)))
    return tunnel


# -- the whole service --------------------------------------------------------------------------------------------


@asynchronous
async def test_a_core_without_edges_is_well_and_says_what_it_is(start: Start) -> None:
    core = await start(grant_key=True)
    diagnosis = await of_all(core)
    assert diagnosis.well
    assert found(diagnosis, "version").text.startswith("This is pinggy ")
    assert found(diagnosis, "database").state is State.WELL
    assert found(diagnosis, "edges").state is State.NOTE


@asynchronous
async def test_an_edge_that_serves_is_well(start: Start) -> None:
    core = await start()
    stream = await attached(core, relay_port=7443)
    await live(core, stream, "blog")
    diagnosis = await of_all(core)
    assert wrongs(diagnosis) == []
    assert found(diagnosis, "edge-orders").text.startswith("It carried out an order")
    assert "1 tunnel" in found(diagnosis, "edge-leases").text
    assert found(diagnosis, "edge-report").state is State.NOTE
    stream.stop()


@asynchronous
async def test_an_edge_that_was_never_started_is_named(start: Start) -> None:
    core = await start()
    await core.edge("e1")
    diagnosis = await of_all(core)
    assert wrongs(diagnosis) == ["edge-heard"]
    assert "pinggy edge remove" in found(diagnosis, "edge-heard", "e1").advice


@asynchronous
async def test_an_edge_that_is_silent_for_a_lease_is_named(start: Start) -> None:
    core = await start()
    stream = await attached(core)
    core.age(LEASE + 1)
    diagnosis = await of_all(core)
    assert wrongs(diagnosis) == ["edge-heard"]
    assert "more than a lease" in found(diagnosis, "edge-heard", "e1").text
    stream.stop()


@asynchronous
async def test_an_edge_without_a_stream_of_orders_is_named(start: Start) -> None:
    core = await start()
    await (await core.edge("e1")).register(Register(instance="i"))
    diagnosis = await of_all(core)
    assert wrongs(diagnosis) == ["edge-orders"]
    assert "No core has its stream" in found(diagnosis, "edge-orders", "e1").text


@asynchronous
async def test_edges_with_other_host_keys_are_named(start: Start) -> None:
    core = await start()
    streams = [
        await attached(core, name, host_keys=(f"SHA256:{letter * 43}",)) for name, letter in (("e1", "A"), ("e2", "B"))
    ]
    diagnosis = await of_all(core)
    assert wrongs(diagnosis) == ["host-keys"]
    for each in streams:
        each.stop()


@asynchronous
async def test_what_was_put_right_is_said_until_the_next_report(start: Start) -> None:
    core = await start(report_interval=0.1)
    stream = await attached(core)
    stranger = tunnel_id()
    await stream.client.report(Report(instance="i", holdings=(Holding(tunnel=stranger, name="blog", epoch=9),)))
    diagnosis = await of_all(core)
    assert wrongs(diagnosis) == ["edge-report"]
    assert f"it serves blog by epoch 9 for tunnel {stranger}, which is over" in found(diagnosis, "edge-report").text
    await stream.client.report(Report(instance="i", holdings=()))
    assert found(await of_all(core), "edge-report").state is State.WELL
    stream.stop()


@asynchronous
async def test_leases_that_are_not_renewed_are_named(start: Start) -> None:
    core = await start()
    stream = await attached(core)
    await live(core, stream, "blog")
    core.age(LEASE - 5)
    diagnosis = await of_all(core)
    assert wrongs(diagnosis) == ["edge-leases"]
    stream.stop()


# -- one tunnel ---------------------------------------------------------------------------------------------------


@asynchronous
async def test_a_tunnel_is_looked_at_from_end_to_end(start: Start) -> None:
    core = await start()
    stream = await attached(core)
    tunnel = await live(core, stream, "blog", "shop")
    servers = (LocalServer(number=1, name="blog"), LocalServer(number=2, name="shop"))
    stream.examined = lambda order: Examined(ask=order.ask, held=True, ping=0.025, local_servers=servers)
    for subject in (tunnel, tunnel[:31], "blog", "shop.a.example", "SHOP.a.example."):
        diagnosis = await of_one(core, subject)
        assert wrongs(diagnosis) == []
        assert "of alice, from 192.0.2.1, at edge e1" in found(diagnosis, "ledger", tunnel).text
        assert found(diagnosis, "client").text == "Its client answered a ping in 25 ms."
        assert found(diagnosis, "local-server", "blog.a.example").state is State.WELL
        assert found(diagnosis, "local-server", "shop.a.example").state is State.WELL
    assert [(each.host, each.addresses) for each in diagnosis.addresses] == [
        ("blog.a.example", ("127.0.0.1",)),
        ("shop.a.example", ("127.0.0.1",)),
    ]
    stream.stop()


@asynchronous
async def test_a_tcp_tunnel_is_tried_at_its_port(start: Start) -> None:
    core = await start()
    stream = await attached(core)
    tunnel = tunnel_id()
    forwarding = granted(await stream.client.authorize(ask(tcp(1), tunnel=tunnel)))
    await stream.client.live(Live(tunnel=tunnel, numbers=(1,)))
    (address,) = (await of_one(core, tunnel)).addresses
    assert address.port == forwarding.port
    stream.stop()


@asynchronous
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"held": False}, ["client"]),
        (
            {"held": True, "ping": None, "local_servers": (LocalServer(number=1, name="blog", trouble="no"),)},
            ["client"],
        ),
        (
            {"held": True, "ping": 0.1, "local_servers": (LocalServer(number=1, name="blog", trouble="down\n"),)},
            ["local-server"],
        ),
        ({"held": True, "ping": 0.1}, ["local-server"]),
    ],
)
async def test_what_is_wrong_behind_the_edge_is_named(start: Start, said: dict[str, Any], expected: list[str]) -> None:
    core = await start()
    stream = await attached(core)
    await live(core, stream, "blog")
    stream.examined = lambda order: Examined(ask=order.ask, **said)
    diagnosis = await of_one(core, "blog")
    assert wrongs(diagnosis) == expected
    assert all(finding.text.isprintable() for section in diagnosis.sections for finding in section.findings)
    stream.stop()


@asynchronous
async def test_an_edge_that_is_gone_leaves_nothing_more_to_be_said(start: Start) -> None:
    core = await start()
    client = await core.edge("e1")
    await client.register(Register(instance="i"))
    token = await token_of(core, "alice")
    await client.authorize(ask(http(1, "blog"), by=token))
    core.age(LEASE - 5)
    diagnosis = await of_one(core, "blog")
    assert wrongs(diagnosis) == ["ledger", "edge"]


@asynchronous
async def test_who_is_not_there_is_told_from_who_was(start: Start) -> None:
    core = await start()
    stream = await attached(core)
    with pytest.raises(NotFound, match="No live tunnel is called blog"):
        await core.doctor.one("blog")
    tunnel = await live(core, stream, "blog")
    await stream.client.release(Release(tunnel=tunnel, code="client-left"))
    with pytest.raises(NotFound, match=r"The last one that had the name ended .* ago: client-left"):
        await core.doctor.one("blog")
    with pytest.raises(NotFound, match=f"Tunnel {tunnel} is over: client-left"):
        await core.doctor.one(tunnel)
    with pytest.raises(NotFound, match="No live tunnel is called a"):
        await core.doctor.one("a%20b.c")
    stream.stop()


@asynchronous
async def test_an_id_that_is_too_short_to_tell_is_asked_for_more(start: Start) -> None:
    core = await start()
    stream = await attached(core)
    for name in ("blog", "shop"):
        await live(core, stream, name)
    with pytest.raises(NotFound, match="give more of it"):
        await core.doctor.one("000000")
    stream.stop()
