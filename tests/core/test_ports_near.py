"""
An edge that starts in a region of many ports: what it is told at once has a bound, and the rest comes as orders.
"""

from __future__ import annotations

from twisted.internet.task import Clock

from pinggy.core.authority import MOST_PLACES
from pinggy.core.ledger import Claim, NewTunnel, Transaction
from pinggy.testing.core import FakeCore, now
from pinggy.tunnel.grant import ANONYMOUS
from pinggy.tunnel.request import Kind
from pinggy.wire.messages import Register
from pinggy.wire.orders import AskOrders, Placed

TUNNEL = "1" * 32
FIRST = 20001
COUNT = MOST_PLACES + 3


async def many_ports(ledger: Transaction) -> None:
    subnet = "192.0.2.1"
    await ledger.add_tunnel(
        NewTunnel(id=TUNNEL, edge="e1", identity=ANONYMOUS, address=subnet, subnet=subnet, lease=30.0, expires_in=None)
    )
    for number in range(1, COUNT + 1):
        port = FIRST + number
        claim = Claim(tunnel=TUNNEL, number=number, kind=Kind.TCP, name=f"port-{port}", port=port, named=True)
        await ledger.claim(claim)
    await ledger.set_live(TUNNEL, range(1, COUNT + 1))


def test_more_ports_than_an_answer_takes_come_by_orders() -> None:
    core = FakeCore(Clock())
    one, two = core.client("e1", "eu"), core.client("e2", "eu")
    now(one.register(Register(instance="i", relay_port=7444)))
    now(core.ledger.transact(many_ports))
    registered = now(two.register(Register(instance="i", relay_port=7444)))
    assert len(registered.places) == MOST_PLACES
    orders = now(two.orders(AskOrders(instance="i", after=registered.orders))).orders
    said = [each.place for each in orders if isinstance(each, Placed)]
    assert len({each.public_port for each in (*registered.places, *said)}) == COUNT
