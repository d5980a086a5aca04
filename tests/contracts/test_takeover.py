"""
How names pass from older tunnels to newer ones of the same account, by the core in memory and by the real one alike.
"""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from pinggy.edge.core_client import CoreClient
from pinggy.settings import Secret
from pinggy.tunnel import endings, refusals
from pinggy.tunnel.refusals import Refusal
from pinggy.wire import operator as office
from pinggy.wire.messages import Done, Live, Register, Release, Renew, Usage
from pinggy.wire.orders import GRACE, Close, Probed
from tests.contracts import test_core as suite
from tests.contracts.test_core import (
    Start,
    after,
    answering,
    ask,
    asynchronous,
    closed_by,
    codes,
    granted,
    http,
    lost_to,
    registered,
    tunnel_id,
)
from tests.support import postgres as real
from tests.support.cores import Core, token_of

start = suite.start
postgres = real.postgres


# -- handovers ----------------------------------------------------------------------------------------------------


def close_for(tunnel: str, reason: Refusal | None = None, number: int = 1) -> Close:
    """The order to close *tunnel* for the *reason*, which is force if there is no other."""
    reason = reason or endings.TakenOver.of("192.0.2.1")
    return Close(number=number, tunnel=tunnel, code=reason.code, text=reason.text, grace=GRACE)


class Taken:
    """*old*, at *edge*, has lost its name to *new* at *far*, which is not live yet; both edges wait for orders."""

    def __init__(self, core: Core, edge: CoreClient, far: CoreClient, token: Secret) -> None:
        self.core, self.edge, self.far, self.token = core, edge, far, token
        self.old, self.new = tunnel_id(), tunnel_id()
        self.message = ask(http(1, "blog"), by=token, tunnel=self.new, force=True)

    @classmethod
    async def begin(cls, core: Core) -> Taken:
        edge, far = await registered(core, "e1"), await registered(core, "e2", "eu")
        taken = cls(core, edge, far, await token_of(core, "ann"))
        await edge.authorize(ask(http(1, "blog"), by=taken.token, tunnel=taken.old))
        await far.authorize(taken.message)
        return taken

    async def lost(self, edge: CoreClient | None = None) -> list[str]:
        """What the edge of *old* learns, when it renews it, to be over."""
        renew = Renew(instance="i", tunnels=(Usage(tunnel=self.old),))
        return [each.tunnel for each in (await (edge or self.edge).renew(renew)).lost]

    async def is_closed_once(self) -> None:
        """*old* has been ordered to close, once."""
        assert (await self.edge.orders(after(0))).orders == (close_for(self.old),)
        assert await self.lost() == [self.old]
        await self.core.sweep.sweep()
        assert (await self.edge.orders(after(0))).orders == (close_for(self.old),)


@asynchronous
async def test_the_old_tunnel_is_held_until_the_new_one_is_live_but_gets_nothing_more(start: Start) -> None:
    taken = await Taken.begin(await start())
    assert await taken.lost() == []
    assert await taken.lost(taken.far) == [taken.old]
    assert await taken.edge.live(Live(tunnel=taken.old, numbers=(1,))) == Done()
    with pytest.raises(endings.TakenOver):
        await taken.far.live(Live(tunnel=taken.old, numbers=(1,)))
    with pytest.raises(endings.TakenOver):
        await taken.edge.authorize(ask(http(2, "more"), by=taken.token, tunnel=taken.old))
    await taken.core.sweep.sweep()
    assert await taken.lost() == []
    for _ in range(2):
        await taken.far.live(Live(tunnel=taken.new, numbers=(1,)))
    await taken.is_closed_once()


@asynchronous
async def test_an_answer_that_was_not_heard_names_the_old_tunnel_again(start: Start) -> None:
    taken = await Taken.begin(await start())
    assert lost_to(await taken.far.authorize(taken.message)) == (taken.old,)
    assert lost_to(await taken.far.authorize(taken.message)) == (taken.old,)
    await taken.far.live(Live(tunnel=taken.new, numbers=(1,)))
    assert lost_to(await taken.far.authorize(taken.message)) == ()


@asynchronous
async def test_the_old_tunnel_is_closed_where_the_new_one_is_over_without_having_been_live(start: Start) -> None:
    taken = await Taken.begin(await start())
    await taken.far.release(Release(tunnel=taken.new, code="zone-away"))
    await taken.is_closed_once()


@asynchronous
async def test_the_old_tunnel_is_closed_where_the_new_one_gives_the_name_back_and_goes_on(start: Start) -> None:
    taken = await Taken.begin(await start())
    await taken.far.release(Release(tunnel=taken.new, code="zone-away", numbers=(1,)))
    await taken.is_closed_once()


@asynchronous
async def test_the_old_tunnel_is_closed_where_the_edge_of_the_new_one_starts_anew(start: Start) -> None:
    taken = await Taken.begin(await start())
    await taken.far.register(Register(instance="i"))
    assert await taken.lost() == []
    await taken.far.register(Register(instance="second"))
    await taken.is_closed_once()


@asynchronous
async def test_the_old_tunnel_is_closed_where_the_new_one_has_lost_its_lease(start: Start) -> None:
    taken = await Taken.begin(await start())
    taken.core.age(40)
    await taken.core.sweep.sweep()
    await taken.is_closed_once()


@asynchronous
async def test_the_old_tunnel_is_closed_where_the_operator_closes_the_new_one(start: Start) -> None:
    taken = await Taken.begin(await start())
    await taken.core.operator.close_tunnel(taken.new)
    await taken.is_closed_once()


@asynchronous
async def test_the_old_tunnel_is_closed_where_the_edge_of_the_new_one_is_removed(start: Start) -> None:
    taken = await Taken.begin(await start())
    await taken.core.operator.remove_edge("e2")
    await taken.core.sweep.sweep()
    await taken.is_closed_once()


@asynchronous
async def test_an_old_tunnel_that_has_ended_meanwhile_is_not_closed(start: Start) -> None:
    taken = await Taken.begin(await start())
    await taken.far.release(Release(tunnel=taken.old, code="client-left"))
    assert await taken.lost() == []
    await taken.edge.release(Release(tunnel=taken.old, code="client-left"))
    assert await taken.lost() == [taken.old]
    await taken.far.live(Live(tunnel=taken.new, numbers=(1,)))
    other = tunnel_id()
    await taken.edge.authorize(ask(http(1), tunnel=other))
    await taken.core.operator.close_tunnel(other)
    assert closed_by(await taken.edge.orders(after(0))) == [other]


@asynchronous
async def test_a_new_instance_of_the_old_tunnels_edge_has_nothing_to_close(start: Start) -> None:
    taken = await Taken.begin(await start())
    await taken.edge.register(Register(instance="second"))
    await taken.far.live(Live(tunnel=taken.new, numbers=(1,)))
    assert await taken.lost() == [taken.old]
    other = tunnel_id()
    await taken.edge.authorize(ask(http(1), tunnel=other))
    await taken.core.operator.close_tunnel(other)
    assert closed_by(await taken.edge.orders(after(0, "second"))) == [other]


@asynchronous
async def test_of_a_row_of_takers_the_last_one_live_closes_all(start: Start) -> None:
    taken = await Taken.begin(await start())
    third = await registered(taken.core, "e3", "ap")
    last = tunnel_id()
    answer = await third.authorize(ask(http(1, "blog"), by=taken.token, tunnel=last, force=True, address="192.0.2.7"))
    assert set(lost_to(answer)) == {taken.old, taken.new}
    await taken.far.live(Live(tunnel=taken.new, numbers=(1,)))
    await taken.far.release(Release(tunnel=taken.new, code="client-left"))
    assert await taken.lost() == []
    await third.live(Live(tunnel=last, numbers=(1,)))
    await taken.is_closed_once()


# -- holders that are asked ---------------------------------------------------------------------------------------


class Busy:
    """*old*, live at *edge*, has the name blog."""

    def __init__(self, core: Core, edge: CoreClient, far: CoreClient, token: Secret) -> None:
        self.core, self.edge, self.far, self.token = core, edge, far, token
        self.old = tunnel_id()
        self.epoch = 0

    @classmethod
    async def begin(cls, core: Core, token: Secret | None = None) -> Busy:
        edge, far = await registered(core, "e1"), await registered(core, "e2", "eu")
        busy = cls(core, edge, far, token or await token_of(core, "ann"))
        answer = await edge.authorize(ask(http(1, "blog"), by=busy.token, tunnel=busy.old))
        busy.epoch = granted(answer).epoch
        await edge.live(Live(tunnel=busy.old, numbers=(1,)))
        return busy

    async def is_held(self) -> bool:
        """Whether *old* is its edge's, as far as the edge is told."""
        return (await self.edge.renew(Renew(instance="i", tunnels=(Usage(tunnel=self.old),)))).lost == ()


@asynchronous
async def test_a_holder_that_answers_keeps_its_name(start: Start) -> None:
    busy = await Busy.begin(await start())
    async with answering(busy.edge):
        answers = [await edge.authorize(ask(http(1, "blog"), by=busy.token)) for edge in (busy.far, busy.edge)]
    assert [codes(answer) for answer in answers] == [["busy"], ["busy"]]
    assert await busy.is_held()
    (row,) = (await busy.core.operator.tunnels()).tunnels
    assert (row.tunnel, row.live) == (busy.old, True)


@asynchronous
@pytest.mark.parametrize("where", ["at another edge", "at the same edge"])
async def test_a_holder_that_is_dead_loses_its_name_at_once(start: Start, where: str) -> None:
    busy = await Busy.begin(await start())
    claimant = busy.far if where == "at another edge" else busy.edge
    new = tunnel_id()
    async with answering(busy.edge, busy.old):
        answer = await claimant.authorize(ask(http(1, "blog"), http(2), by=busy.token, tunnel=new))
    assert codes(answer) == ["granted", "granted"]
    assert granted(answer).epoch > busy.epoch
    assert lost_to(answer) == (busy.old,)
    # Its edge ends it by itself, and may be late with it.
    await busy.edge.release(Release(tunnel=busy.old, code="client-silent"))
    await claimant.live(Live(tunnel=new, numbers=(1, 2)))
    (row,) = (await busy.core.operator.tunnels()).tunnels
    assert (row.tunnel, row.forwardings[0]) == (new, "http blog")
    (row,) = (await busy.core.operator.tunnels(history=True)).tunnels
    assert (row.tunnel, row.reason) == (busy.old, "client-silent")


@asynchronous
async def test_an_edge_that_no_core_hears_loses_the_names_that_somebody_wants(start: Start) -> None:
    busy = await Busy.begin(await start())
    waiting = busy.edge.orders(after(0))
    # Answered after it on a connection of its own: by then the poll is in hand.
    assert await busy.is_held()
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    new = tunnel_id()
    asked = busy.far.authorize(ask(http(1, "blog"), by=busy.token, tunnel=new, address="192.0.2.9"))
    busy.core.elapse(3.0)
    assert granted(await asked).epoch > busy.epoch
    assert await busy.is_held()
    await busy.far.live(Live(tunnel=new, numbers=(1,)))
    # When it is heard again, it closes what it has lost.
    *_, last = (await busy.edge.orders(after(0))).orders
    assert last == close_for(busy.old, endings.EdgeCutOff.of("192.0.2.9"), number=last.number)
    assert not await busy.is_held()


@asynchronous
async def test_nobody_is_asked_for_a_name_of_another_account(start: Start) -> None:
    busy = await Busy.begin(await start())
    waiting = busy.edge.orders(after(0))
    assert codes(await busy.far.authorize(ask(http(1, "blog"), by=await token_of(busy.core, "bob")))) == ["held"]
    other = tunnel_id()
    await busy.edge.authorize(ask(http(1), tunnel=other))
    await busy.core.operator.close_tunnel(other)
    assert closed_by(await waiting) == [other]


@asynchronous
async def test_of_an_accounts_busy_names_the_one_of_a_dead_holder_is_had(start: Start) -> None:
    core = await start()
    edge = await registered(core)
    token = await token_of(core, "ann", names=("one", "two"))
    dead = tunnel_id()
    await edge.authorize(ask(http(1), by=token))
    await edge.authorize(ask(http(1), by=token, tunnel=dead))
    async with answering(edge, dead):
        assert granted(await edge.authorize(ask(http(1), by=token))).name == "two"
        assert codes(await edge.authorize(ask(http(1), by=token))) == ["busy"]


@asynchronous
async def test_one_batch_has_what_is_free_what_is_dead_and_not_what_is_alive(start: Start) -> None:
    core = await start()
    edge, far = await registered(core, "e1"), await registered(core, "e2")
    token = await token_of(core, "ann")
    dead, new = tunnel_id(), tunnel_id()
    await edge.authorize(ask(http(1, "dead"), by=token, tunnel=dead))
    await edge.authorize(ask(http(1, "alive"), by=token))
    async with answering(edge, dead):
        wants = (http(1, "alive"), http(2, "dead"), http(3, "free"))
        answer = await far.authorize(ask(*wants, by=token, tunnel=new))
    assert codes(answer) == ["busy", "granted", "granted"]
    assert lost_to(answer) == (dead,)


@asynchronous
async def test_a_core_that_has_just_started_does_not_believe_that_a_lease_is_over(start: Start) -> None:
    busy = await Busy.begin(await start())
    busy.core.age(40)
    async with answering(busy.edge):
        assert codes(await busy.far.authorize(ask(http(1, "blog"), by=busy.token))) == ["busy"]
    assert await busy.is_held()


@asynchronous
async def test_an_answer_to_nothing_is_done(start: Start) -> None:
    edge = await registered(await start())
    assert await edge.probed(Probed(ask="0" * 32, alive=False)) == Done()


# -- tokens of which the newest wins --------------------------------------------------------------------------------


@asynchronous
async def test_of_a_token_the_newest_wins_where_the_operator_says_so(start: Start) -> None:
    core = await start()
    await core.operator.ensure_account("ann")
    token = (await core.operator.add_token(office.AddToken(account="ann", newest_wins=True))).token
    busy = await Busy.begin(core, token)
    new = tunnel_id()
    answer = await busy.far.authorize(ask(http(1, "blog"), by=token, tunnel=new, address="192.0.2.9"))
    assert granted(answer).epoch > busy.epoch
    reason = endings.TakenOver.by_newest("192.0.2.9")
    assert [(each.tunnel, each.text) for each in answer.lost] == [(busy.old, reason.text)]
    await busy.far.live(Live(tunnel=new, numbers=(1,)))
    assert (await busy.edge.orders(after(0))).orders == (close_for(busy.old, reason),)


@asynchronous
async def test_whether_the_newest_wins_can_be_changed_and_is_shown(start: Start) -> None:
    core = await start()
    busy = await Busy.begin(core)
    (row,) = (await core.operator.tokens()).tokens
    assert row.newest_wins is False
    await core.operator.set_token(office.SetToken(prefix=row.prefix, newest_wins=True))
    (row,) = (await core.operator.tokens()).tokens
    assert row.newest_wins is True
    assert codes(await busy.far.authorize(ask(http(1, "blog"), by=busy.token))) == ["granted"]
    await core.operator.set_token(office.SetToken(prefix=row.prefix, newest_wins=False))
    async with answering(busy.far):
        assert codes(await busy.edge.authorize(ask(http(1, "blog"), by=busy.token))) == ["busy"]
    for prefix in ("nobodys", "\0"):
        with pytest.raises(refusals.NotFound):
            await core.operator.set_token(office.SetToken(prefix=prefix, newest_wins=True))


# -- limits -------------------------------------------------------------------------------------------------------


@asynchronous
@pytest.mark.parametrize("force", [False, True])
async def test_an_account_that_has_all_its_tunnels_may_take_the_name_of_one(start: Start, force: bool) -> None:
    core = await start(limits=suite.limits(tunnels_per_account=1))
    edge, far = await registered(core, "e1"), await registered(core, "e2", "eu")
    token = await token_of(core, "ann")
    old = tunnel_id()
    await edge.authorize(ask(http(1, "blog"), by=token, tunnel=old))
    # One more than that it may not have.
    assert codes(await far.authorize(ask(http(1, "free"), by=token, tunnel=tunnel_id()))) == ["limit-reached"]
    assert codes(await far.authorize(ask(http(1), by=token, tunnel=tunnel_id()))) == ["limit-reached"]
    async with answering(edge, old):
        # Its client has vanished; or it is taken by force.
        answer = await far.authorize(ask(http(1, "blog"), by=token, tunnel=tunnel_id(), force=force))
    assert granted(answer).name == "blog"
    assert len((await core.operator.tunnels()).tunnels) == 1
