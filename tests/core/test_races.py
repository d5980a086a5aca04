"""
Many claims at one instant, over several connections to a real PostgreSQL: one owner, and epochs that never go back.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater

from pinggy.core.config import LimitSettings
from pinggy.edge.core_client import CoreClient
from pinggy.settings import Secret
from pinggy.tunnel.endings import TakenOver
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import (
    Authorize,
    Authorized,
    ByToken,
    Granted,
    Live,
    Refused,
    Register,
    Release,
    Renew,
    Report,
    Usage,
    Want,
)
from pinggy.wire.orders import AskOrders, Close, Probe, Probed
from tests.contracts.test_core import answering
from tests.support.cores import OverHttp, token_of
from tests.support.postgres import execute

asynchronous = pytest_twisted.ensureDeferred
ROUNDS = 15
REPORT_INTERVAL = 0.1
_ids = itertools.count(1)


@pytest_twisted.async_yield_fixture
async def core(database: Secret) -> AsyncIterator[OverHttp]:
    core = await OverHttp.start(
        database,
        limits=LimitSettings(tunnels_per_account=1000, new_tunnels_per_minute_per_address=10000),
        report_interval=REPORT_INTERVAL,
    )
    yield core
    await core.stop()


def claim(token: Secret, *names: str, force: bool = False) -> Authorize:
    wants = tuple(Want(number=number, kind=Kind.HTTP, name=name) for number, name in enumerate(names, 1))
    return Authorize(
        tunnel=f"{next(_ids):032x}",
        credential=ByToken(token=token),
        address="192.0.2.1",
        wants=wants,
        force=force,
    )


def outcomes(answers: list[Authorized]) -> Counter[str]:
    return Counter(
        result.code if isinstance(result, Refused) else "granted" for answer in answers for result in answer.results
    )


@asynchronous
async def test_of_many_accounts_one_gets_the_name(core: OverHttp) -> None:
    edges = [await core.edge(f"e{number}") for number in range(3)]
    tokens = [await token_of(core, f"account{number}") for number in range(6)]
    last = 0
    for _ in range(ROUNDS):
        messages = [claim(token, "blog") for token in tokens]
        answers = await gatherResults(
            [edge.authorize(message) for edge, message in zip(itertools.cycle(edges), messages, strict=False)]
        )
        assert outcomes(answers) == {"granted": 1, "held": 5}
        (epoch,) = (each.forwarding.epoch for answer in answers for each in answer.results if isinstance(each, Granted))
        assert epoch > last
        last = epoch
        await gatherResults(
            [
                edge.release(Release(tunnel=message.tunnel, code="client-left"))
                for edge, message in zip(itertools.cycle(edges), messages, strict=False)
            ]
        )


@asynchronous
async def test_of_many_forced_claims_the_highest_epoch_stands(core: OverHttp, database: Secret) -> None:
    edge = await core.edge()
    token = await token_of(core, "ann")
    for _ in range(ROUNDS):
        messages = [claim(token, "blog", force=True) for _ in range(6)]
        answers = await gatherResults([edge.authorize(message) for message in messages])
        assert outcomes(answers) == {"granted": 6}
        epochs = {
            message.tunnel: each.forwarding.epoch
            for message, answer in zip(messages, answers, strict=True)
            for each in answer.results
            if isinstance(each, Granted)
        }
        standing = max(epochs, key=lambda tunnel: epochs[tunnel])
        await edge.live(Live(tunnel=standing, numbers=(1,)))
        renewed = await edge.renew(Renew(instance="i", tunnels=tuple(Usage(tunnel=tunnel) for tunnel in epochs)))
        assert {lost.tunnel for lost in renewed.lost} == set(epochs) - {standing}
        # Each says who has lost the name to it, and who was waiting for those to be live.
        lost = {each.tunnel for answer in answers for each in answer.lost}
        assert lost >= set(epochs) - {standing}
        assert standing not in lost
    assert execute(database, "SELECT epoch FROM ended_forwardings GROUP BY epoch HAVING count(*) > 1") == []


class Racers:
    """Edges whose clients all answer. Each claim is made live where it is granted; what each edge is told is kept."""

    def __init__(self, core: OverHttp, database: Secret, token: Secret) -> None:
        self._core = core
        self._database = database
        self._token = token
        self._edges: list[CoreClient] = []
        self._polls: list[Deferred[None]] = []
        self._woken: Deferred[None] = Deferred()
        self._edge_of: dict[str, CoreClient] = {}
        self.closed: Counter[str] = Counter()
        self.released: set[str] = set()
        self.answers: dict[str, Authorized] = {}

    async def begin(self, edges: int) -> None:
        for number in range(edges):
            edge = await self._core.edge(f"e{number}", f"r{number % 3}")
            await edge.register(Register(instance="i"))
            self._edges.append(edge)
            self._polls.append(Deferred.fromCoroutine(self._carry_out(edge)))

    async def end(self) -> None:
        for poll in self._polls:
            poll.cancel()
            with pytest.raises(CancelledError):
                await poll

    async def _carry_out(self, edge: CoreClient) -> None:
        last = 0
        while True:
            for order in (await edge.orders(AskOrders(instance="i", after=last))).orders:
                last = order.number
                match order:
                    case Probe():
                        await edge.probed(Probed(ask=order.ask, alive=True))
                    case Close():
                        self.closed[order.tunnel] += 1
                        woken, self._woken = self._woken, Deferred()
                        woken.callback(None)

    async def race(self, count: int, *, force: bool) -> None:
        edges = itertools.islice(itertools.cycle(self._edges), count)
        await gatherResults([Deferred.fromCoroutine(self._claim(edge, force)) for edge in edges], consumeErrors=True)

    async def _claim(self, edge: CoreClient, force: bool) -> None:
        message = claim(self._token, "blog", force=force)
        self._edge_of[message.tunnel] = edge
        answer = await edge.authorize(message)
        self.answers[message.tunnel] = answer
        if outcomes([answer])["granted"]:
            # Somebody else may have been quicker, and be live by now.
            with suppress(TakenOver):
                await edge.live(Live(tunnel=message.tunnel, numbers=(1,)))
            for lost in answer.lost:
                if self._edge_of[lost.tunnel] is edge:
                    self.released.add(lost.tunnel)
                    await edge.release(Release(tunnel=lost.tunnel, code=lost.code))

    async def heard(self) -> None:
        """All orders that were written have come."""
        ((written,),) = execute(self._database, "SELECT coalesce(sum(last), 0)::integer FROM order_streams")
        while sum(self.closed.values()) < written:
            await self._woken
        # Out of the poll that woke it.
        await deferLater(reactor, 0)

    def owners(self) -> list[tuple[int, str, float, float | None]]:
        """Epoch, tunnel, and from when to when, by the ledger's own history; in the order of epochs."""
        return execute(
            self._database,
            "SELECT epoch, tunnel, extract(epoch FROM started)::float8, extract(epoch FROM ended)::float8"
            " FROM ended_forwardings WHERE name = 'blog' UNION ALL"
            " SELECT epoch, tunnel, extract(epoch FROM started)::float8, NULL FROM forwardings WHERE name = 'blog'"
            " ORDER BY 1",
        )

    def check(self) -> str:
        """One owner an epoch, none beside another, one at the end: whom the answer is."""
        owners = self.owners()
        assert len({epoch for epoch, *_ in owners}) == len(owners)
        assert len({tunnel for _, tunnel, *_ in owners}) == len(owners)
        for (_, _, _, ended), (_, _, started, _) in itertools.pairwise(owners):
            # The one begins with what ends the other: one transaction.
            assert ended == started
        *_, (_, standing, _, ended) = owners
        assert ended is None
        return standing


@asynchronous
@pytest.mark.parametrize(("clients", "edges"), [(2, 2), (10, 3), (100, 5)])
async def test_of_many_over_several_edges_each_is_told_of_one_owner(
    core: OverHttp, database: Secret, clients: int, edges: int
) -> None:
    racers = Racers(core, database, await token_of(core, "ann"))
    await racers.begin(edges)
    await racers.race(clients, force=False)
    assert outcomes(list(racers.answers.values())) == {"granted": 1, "busy": clients - 1}
    standing = racers.check()
    (granted,) = (tunnel for tunnel, answer in racers.answers.items() if outcomes([answer])["granted"])
    assert granted == standing
    await racers.end()
    assert racers.closed == {}


@asynchronous
@pytest.mark.parametrize(("clients", "edges"), [(2, 2), (10, 3), (100, 5)])
async def test_of_many_with_force_the_last_one_stands_and_the_others_are_closed_once(
    core: OverHttp, database: Secret, clients: int, edges: int
) -> None:
    racers = Racers(core, database, await token_of(core, "ann"))
    await racers.begin(edges)
    await racers.race(clients, force=True)
    assert outcomes(list(racers.answers.values())) == {"granted": clients}
    standing = racers.check()
    assert {tunnel for _, tunnel, *_ in racers.owners()} == set(racers.answers)
    # Nothing is left to be done. Each has been closed by one order, or by an answer at its own edge.
    assert execute(database, "SELECT * FROM handovers") == []
    await racers.heard()
    assert set(racers.closed) | racers.released == set(racers.answers) - {standing}
    assert set(racers.closed.values()) <= {1}
    await racers.end()


@asynchronous
async def test_tunnels_that_want_each_others_names_do_not_stop_each_other(core: OverHttp) -> None:
    edge = await core.edge()
    await edge.register(Register(instance="i"))
    tokens = [await token_of(core, f"account{number}") for number in range(4)]
    names = [f"name{number}" for number in range(6)]
    for shift in range(ROUNDS):
        messages = [claim(token, *(names[shift % 6 :] + names[: shift % 6])) for token in tokens]
        messages += [claim(token, *reversed(names)) for token in tokens]
        async with answering(edge):
            answers = await gatherResults([edge.authorize(message) for message in messages])
        assert outcomes(answers)["granted"] == 6
        await gatherResults([edge.release(Release(tunnel=each.tunnel, code="client-left")) for each in messages])
    assert (await core.operator.tunnels()).tunnels == ()


@asynchronous
async def test_authorizations_and_their_releases_at_one_instant_leave_no_orphan(core: OverHttp) -> None:
    edge = await core.edge()
    token = await token_of(core, "ann")

    async def authorize_and_release(name: str) -> None:
        message = claim(token, name)
        asked = edge.authorize(message).addErrback(lambda failure: None)
        await edge.release(Release(tunnel=message.tunnel, code="client-left"))
        await asked

    await edge.register(Register(instance="i"))
    async with answering(edge):
        claims = [authorize_and_release(f"name{number % 5}") for number in range(60)]
        await gatherResults([Deferred.fromCoroutine(each) for each in claims])
    assert (await core.operator.tunnels()).tunnels == ()


@asynchronous
async def test_one_message_said_often_at_one_instant_is_one_grant(core: OverHttp) -> None:
    edge = await core.edge()
    messages = [
        Authorize(
            tunnel=f"{next(_ids):032x}",
            credential=ByToken(token=await token_of(core, "ann")),
            address="192.0.2.1",
            wants=(Want(number=1, kind=Kind.HTTP),),
        )
        for _ in range(3)
    ]
    answers = await gatherResults([edge.authorize(message) for message in messages * 4])
    # The same three tunnels, each asked for four times: three grants, said four times each.
    assert outcomes(answers) == {"granted": 12}
    assert (
        len({each.forwarding.epoch for answer in answers for each in answer.results if isinstance(each, Granted)}) == 3
    )
    assert len((await core.operator.tunnels()).tunnels) == 3


@asynchronous
async def test_reports_that_end_tunnels_among_releases_renewals_and_forced_claims_end_each_once(
    core: OverHttp, database: Secret
) -> None:
    edge, other = await core.edge("e1"), await core.edge("e2")
    for client in (edge, other):
        await client.register(Register(instance="i"))
    token = await token_of(core, "alice")
    claims = [claim(token, f"a{number}", f"b{number}") for number in range(12)]
    for each in claims:
        await edge.authorize(each)
        await edge.live(Live(tunnel=each.tunnel, numbers=(1, 2)))
    core.age(60)
    # Nothing of all that is held, it says; and again, several times at once.
    nothing = Report(instance="i", holdings=())
    await edge.report(nothing)
    await deferLater(reactor, REPORT_INTERVAL)
    calls: list[Deferred[Any]] = [edge.report(nothing) for _ in range(4)]
    calls += [edge.release(Release(tunnel=each.tunnel, code="client-left")) for each in claims[::3]]
    calls += [edge.release(Release(tunnel=each.tunnel, code="client-left", numbers=(1,))) for each in claims[1::3]]
    calls += [edge.renew(Renew(instance="i", tunnels=tuple(Usage(tunnel=each.tunnel) for each in claims)))]
    calls += [other.authorize(claim(token, f"b{number}", f"a{number}", force=True)) for number in range(0, 12, 2)]
    await gatherResults(calls, consumeErrors=True)
    live = (await core.operator.tunnels()).tunnels
    assert {each.edge for each in live} == {"e2"}
    assert Counter(name for each in live for name in each.forwardings) == Counter(
        f"http {letter}{number}" for letter in "ab" for number in range(0, 12, 2)
    )
    # Each forwarding of the old ones is in the history, once.
    ended = execute(database, "SELECT name, epoch FROM ended_forwardings")
    assert len(ended) == len(set(ended)) == 24
