"""What an edge shows of itself: totals that never fall, and nothing that strangers can make more of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pinggy.certificates.store import Certificates
from pinggy.edge.carried import Carried
from pinggy.edge.local_ca import ensure_local_certificate
from pinggy.edge.metrics import EdgeMetrics
from pinggy.edge.orders import OrderStream
from pinggy.edge.readings import EdgeReadings
from pinggy.edge.renewal import Renewal
from pinggy.edge.stream import Stream
from pinggy.edge.tally import Tally
from pinggy.tunnel.endings import ClosedByOperator
from pinggy.tunnel.life import Life
from tests.edge.ssh.test_flow import Deaf, Receiver, visited
from tests.metrics.expositions import Scraped, exposed
from tests.support.edges import EdgeInMemory
from tests.support.ssh_pair import Pair

BYTES, VISITORS, OPEN = "pinggy_edge_bytes_total", "pinggy_edge_visitors_total", "pinggy_edge_visitors_open"
STALLED, STALLS = "pinggy_edge_streams_stalled", "pinggy_edge_window_stalls_total"


class Watched:
    """An edge in memory and what it shows; put together as `pinggy.edge.service` does."""

    def __init__(self, folder: Path) -> None:
        self.edge = EdgeInMemory()
        tls = ensure_local_certificate(folder, "a.example", datetime.now(UTC))
        certificates = Certificates(tls.certificate, tls.key, self.edge.clock)
        self.readings = EdgeReadings(self.edge.clock, self.edge.tunnels, certificates)
        self.readings.clients = self.edge.factory

    def shown(self) -> Scraped:
        return exposed(self.edge.parts.metrics, self.readings)

    def tunnel(self, name: str, **join: Any) -> Pair:
        pair = self.edge.join(self.edge.core.account(name, names=(name,)).reveal(), **join)
        pair.forward()
        pair.session()
        return pair

    def visit(self, pair: Pair, name: str) -> Stream:
        streams: list[Any] = []
        live = self.edge.tunnels.by_name(name)
        assert live is not None
        live.tunnel.visited()
        self.edge.visit(name).addCallback(streams.append)
        pair.flush()
        streams[0].attach(Receiver())
        return streams[0]  # type: ignore[no-any-return]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.edge.close()


def carry(watched: Watched, name: str, received: int, sent: int) -> None:
    """As a relay counts it."""
    live = watched.edge.tunnels.by_name(name)
    assert live is not None
    live.tunnel.tally.received += received
    live.tunnel.tally.sent += sent


def test_what_an_ended_tunnel_has_carried_stays(watched: Watched) -> None:
    first, second = watched.tunnel("one"), watched.tunnel("two")
    stream = watched.visit(first, "one")
    carry(watched, "one", 100, 1000)
    carry(watched, "two", 10, 20)
    shown = watched.shown()
    assert shown.value("pinggy_edge_tunnels") == 2
    assert shown.value("pinggy_edge_forwardings", kind="http") == 2
    assert (shown.value(BYTES, direction="to_client"), shown.value(BYTES, direction="from_client")) == (110, 1020)
    assert (shown.value(VISITORS), shown.value(OPEN)) == (1, 1)
    live = watched.edge.tunnels.by_name("one")
    assert live is not None
    first.vanish()
    # His last bytes come while the tunnel is over already.
    live.tunnel.tally.sent += 5
    assert watched.shown().value(BYTES, direction="from_client") == 1025
    live.tunnel.stream_over()
    stream.abort()
    for _ in range(2):
        shown = watched.shown()
        assert shown.value("pinggy_edge_tunnels") == 1
        assert (shown.value(BYTES, direction="to_client"), shown.value(BYTES, direction="from_client")) == (110, 1025)
        assert (shown.value(VISITORS), shown.value(OPEN)) == (1, 0)
    second.vanish()
    assert watched.shown().value(BYTES, direction="to_client") == 110


def test_a_forwarding_that_comes_again_is_counted_once(watched: Watched) -> None:
    pair = watched.tunnel("one")
    carry(watched, "one", 7, 0)
    pair.cancel_forward("localhost", 1)
    pair.flush()
    assert watched.shown().value("pinggy_edge_tunnels") == 0
    assert watched.shown().value(BYTES, direction="to_client") == 7
    pair.forward("one")
    pair.advance(1)
    assert watched.shown().value("pinggy_edge_tunnels") == 1
    assert watched.shown().value(BYTES, direction="to_client") == 7


@dataclass(eq=False)
class Carrier:
    life: Life = field(default_factory=Life)
    tally: Tally = field(default_factory=Tally)


def test_tunnels_that_are_over_are_not_kept_where_nobody_asks() -> None:
    carried = Carried()
    for _ in range(1000):
        carrier = Carrier(tally=Tally(received=1, visitors=2))
        carried.watch(carrier)
        carrier.life.ended(ClosedByOperator("Closed."))
    assert carried.watched < 100
    assert carried.sum() == Tally(received=1000, visitors=2000)


def test_set_up_is_timed_by_step_and_refusals_are_counted_by_code(watched: Watched) -> None:
    watched.tunnel("one")
    pair = watched.edge.join("me")
    pair.forward("blog").addErrback(lambda _: None)
    pair.session()
    shown = watched.shown()
    for step in ("authorize", "publish", "probe", "live", "all"):
        assert shown.value("pinggy_edge_setup_seconds_count", step=step) == 1
    assert shown.value("pinggy_edge_refusals_total", code="needs-account") == 1
    assert shown.value("pinggy_edge_refusals_total", code="busy") == 0


def test_logins_that_are_refused_and_clients_that_are_there(watched: Watched) -> None:
    watched.edge.join("pgy-mistyped")
    watched.tunnel("one")
    shown = watched.shown()
    assert shown.value("pinggy_edge_logins_refused_total", code="token-mistyped") == 1
    assert shown.value("pinggy_edge_clients") == 1
    assert shown.value("pinggy_edge_certificate_expiry_timestamp_seconds") > 1.7e9


def test_ends_are_counted_by_why(watched: Watched) -> None:
    pair = watched.tunnel("one")
    (tunnel,) = watched.edge.tunnels
    tunnel.end(ClosedByOperator("Closed."))
    pair.advance(5)
    watched.tunnel("two").vanish()
    shown = watched.shown()
    assert shown.value("pinggy_edge_tunnels_ended_total", reason="closed-by-operator") == 1
    assert shown.value("pinggy_edge_tunnels_ended_total", reason="client-left") == 1


def test_a_visitor_who_takes_nothing_stalls_his_stream(watched: Watched) -> None:
    pair, visit, stream, receiver = visited(watched.edge)
    assert watched.shown().value(STALLED, waits_for="visitor") == 0
    receiver.slow = True
    visit.write(bytes(1000))
    pair.flush()
    stream.pause()
    shown = watched.shown()
    assert (shown.value(STALLED, waits_for="visitor"), shown.value(STALLS, waits_for="visitor")) == (1, 1)
    stream.resume()
    shown = watched.shown()
    assert (shown.value(STALLED, waits_for="visitor"), shown.value(STALLS, waits_for="visitor")) == (0, 1)
    stream.pause()
    stream.abort()
    pair.flush()
    shown = watched.shown()
    assert (shown.value(STALLED, waits_for="visitor"), shown.value(STALLS, waits_for="visitor")) == (0, 2)


def test_a_full_window_stalls_its_visitor(watched: Watched) -> None:
    pair = watched.edge.join(watched.edge.core.account("one", names=("one",)).reveal())
    pair.connection.accept_forwarded = Deaf
    pair.forward()
    pair.session()
    stream = watched.visit(pair, "one")
    stream.write(bytes(1001))
    pair.flush()
    shown = watched.shown()
    assert (shown.value(STALLED, waits_for="client"), shown.value(STALLS, waits_for="client")) == (1, 1)
    pair.vanish()
    shown = watched.shown()
    assert (shown.value(STALLED, waits_for="client"), shown.value(STALLS, waits_for="client")) == (0, 1)


def test_the_age_of_what_the_core_said_is_shown(watched: Watched) -> None:
    edge, readings = watched.edge, watched.readings
    renewal = Renewal(
        core=edge.client, tunnels=edge.tunnels, dormants=edge.dormants, clock=edge.clock, instance="one", lease=30.0
    )
    orders = OrderStream(
        core=edge.client, tunnels=edge.tunnels, drain=edge.drain, clock=edge.clock, instance="one", after=0
    )
    readings.renewal, readings.orders = renewal, orders
    renewal.start()
    orders.start()
    edge.clock.advance(5)
    shown = watched.shown()
    assert shown.value("pinggy_edge_lease_age_seconds") == 5
    assert shown.value("pinggy_edge_orders_lag_seconds") == 5
    assert shown.value("pinggy_edge_core_away") == 0
    edge.clock.advance(5)
    assert watched.shown().value("pinggy_edge_lease_age_seconds") == 0
    edge.core.away = True
    for _ in range(60):
        edge.clock.advance(1)
    shown = watched.shown()
    assert shown.value("pinggy_edge_core_away") == 1
    assert shown.value("pinggy_edge_lease_age_seconds") == 60
    assert shown.value("pinggy_edge_orders_lag_seconds") >= 60
    edge.core.away = False
    # It is asked again within a third of a lease, at a time drawn by lot.
    for _ in range(10):
        edge.clock.advance(1)
    shown = watched.shown()
    assert shown.value("pinggy_edge_core_away") == 0
    assert shown.value("pinggy_edge_lease_age_seconds") < 10
    renewal.stop()
    orders.stop()


def test_orders_are_counted_by_kind(watched: Watched) -> None:
    edge = watched.edge
    orders = OrderStream(
        core=edge.client,
        tunnels=edge.tunnels,
        drain=edge.drain,
        clock=edge.clock,
        instance="one",
        after=0,
        metrics=edge.parts.metrics,
    )
    orders.start()
    pair = watched.tunnel("one")
    (tunnel,) = edge.tunnels
    edge.core.operator.close_tunnel(tunnel.id)
    pair.advance(5)
    shown = watched.shown()
    assert shown.value("pinggy_edge_orders_total", kind="close") == 1
    assert shown.value("pinggy_edge_orders_total", kind="placed") == 0
    orders.stop()


def test_before_the_core_has_answered_nothing_is_said_of_it(watched: Watched) -> None:
    families = watched.shown().families
    for name in ("core_away", "lease_age_seconds", "orders_lag_seconds"):
        assert families[f"pinggy_edge_{name}"].samples == []


def test_words_that_nobody_has_chosen_are_one() -> None:
    metrics = EdgeMetrics()
    metrics.ended("a-reason-of-a-newer-core")
    metrics.relayed_out("tls")
    metrics.relayed_in("http")
    metrics.relay_refused("not-here")
    metrics.refused("../../etc/passwd")
    shown = exposed(metrics)
    assert shown.value("pinggy_edge_tunnels_ended_total", reason="other") == 1
    assert shown.value("pinggy_edge_refusals_total", code="other") == 1
    assert shown.value("pinggy_edge_relayed_out_total", mode="tls") == 1
    assert shown.value("pinggy_edge_relayed_in_total", mode="http") == 1
    assert shown.value("pinggy_edge_relay_refused_total", why="not-here") == 1


def test_a_ping_that_is_answered_is_timed(watched: Watched) -> None:
    pair = watched.tunnel("one")
    # Silent for half of the bound, it is asked.
    watched.edge.clock.advance(7.5)
    assert watched.shown().value("pinggy_edge_client_ping_seconds_count") == 0
    watched.edge.clock.advance(0.25)
    pair.flush()
    shown = watched.shown()
    assert shown.value("pinggy_edge_client_ping_seconds_count") == 1
    assert shown.value("pinggy_edge_client_ping_seconds_sum") == 0.25
