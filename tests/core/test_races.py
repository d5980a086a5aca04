"""
Many claims at one instant, over several connections to a real PostgreSQL: one owner, and epochs that never go back.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator

import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from pinggy.core.config import LimitSettings
from pinggy.settings import Secret
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
    Usage,
    Want,
)
from tests.contracts.test_core import answering
from tests.support.cores import OverHttp, token_of
from tests.support.postgres import execute

asynchronous = pytest_twisted.ensureDeferred
ROUNDS = 15
_ids = itertools.count(1)


@pytest_twisted.async_yield_fixture
async def core(database: Secret) -> AsyncIterator[OverHttp]:
    core = await OverHttp.start(
        database,
        limits=LimitSettings(tunnels_per_account=1000, new_tunnels_per_minute_per_address=10000),
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

    await gatherResults([Deferred.fromCoroutine(authorize_and_release(f"name{number % 5}")) for number in range(60)])
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
