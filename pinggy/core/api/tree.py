"""
Which Resource lives at which path.
"""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.internet.defer import succeed

from pinggy.core.api.doctor import DoctorResource
from pinggy.core.api.edges import EdgeMessage, OrdersMessage
from pinggy.core.api.geo import GeoResource
from pinggy.core.api.health import Healthz, Readyz
from pinggy.core.api.office import Act, Addition, Collection, OperatorKey
from pinggy.core.api.resource import JsonResource, Nowhere
from pinggy.core.asks import Asks
from pinggy.core.authority import Authority
from pinggy.core.doctor.doctor import Doctor
from pinggy.core.drain import Drains
from pinggy.core.ledger import Ledger
from pinggy.core.operator import Operator
from pinggy.core.orders import OrderDesk
from pinggy.core.places import Places
from pinggy.core.reconcile import Reconciler
from pinggy.core.records import Records
from pinggy.core.relay_ca import RelayAuthority, certified
from pinggy.core.tickets import Tickets
from pinggy.core.zone_office import ZoneOffice
from pinggy.settings import Secret
from pinggy.wire import messages, operator, paths
from pinggy.wire.orders import Examined, Probed
from pinggy.wire.places import Certify, Where


def make_tree(
    ledger: Ledger,
    authority: Authority,
    tickets: Tickets,
    orders: OrderDesk,
    asks: Asks,
    places: Places,
    relay: RelayAuthority | None,
    office: Operator,
    zone: ZoneOffice,
    drains: Drains,
    records: Records,
    reconciler: Reconciler,
    doctor: Doctor,
    operator_key: Secret,
    geo: GeoResource,
) -> JsonResource:
    key = OperatorKey(operator_key)
    root = Nowhere()
    for path, resource in {
        paths.HEALTHZ: Healthz(),
        paths.READYZ: Readyz(ledger),
        paths.REGISTER: EdgeMessage(authority, messages.Register, tickets.register),
        paths.IDENTIFY: EdgeMessage(
            authority, messages.Identify, lambda edge, message: authority.identify(message.credential)
        ),
        paths.AUTHORIZE: EdgeMessage(authority, messages.Authorize, tickets.authorize),
        paths.LIVE: EdgeMessage(authority, messages.Live, authority.live),
        paths.RENEW: EdgeMessage(authority, messages.Renew, tickets.renew),
        paths.RELEASE: EdgeMessage(authority, messages.Release, authority.release),
        paths.REPORT: EdgeMessage(authority, messages.Report, reconciler.report),
        paths.ORDERS: OrdersMessage(authority, orders),
        paths.EXAMINED: EdgeMessage(authority, Examined, lambda edge, message: asks.answered(message.ask, message)),
        paths.PROBED: EdgeMessage(authority, Probed, lambda edge, message: asks.answered(message.ask, message)),
        paths.DRAINING: EdgeMessage(authority, messages.Draining, drains.said),
        paths.WHERE: EdgeMessage(authority, Where, places.where),
        paths.CERTIFY: EdgeMessage(
            authority,
            Certify,
            lambda edge, message: succeed(certified(relay, edge.name, message, datetime.now(UTC))),
        ),
        paths.ACCOUNTS: Collection(
            key,
            show=lambda query: office.accounts(),
            addition=Addition(cls=operator.AddAccount, add=office.add_account),
        ),
        paths.TOKENS: Collection(
            key,
            show=lambda query: office.tokens(query.account),
            addition=Addition(cls=operator.AddToken, add=office.add_token),
            remove=office.revoke_token,
        ),
        paths.TOKEN_RULES: Collection(
            key,
            show=lambda query: office.tokens(query.account),
            addition=Addition(cls=operator.SetToken, add=office.set_token),
        ),
        paths.KEYS: Collection(
            key,
            show=lambda query: office.keys(query.account),
            addition=Addition(cls=operator.AddKey, add=office.add_key),
            remove=office.remove_key,
        ),
        paths.NAMES: Collection(
            key,
            show=lambda query: office.names(query.account),
            addition=Addition(cls=operator.ReserveName, add=office.reserve_name),
            remove=office.free_name,
        ),
        paths.PORTS: Collection(
            key,
            show=lambda query: office.ports(query.account),
            addition=Addition(cls=operator.ReservePort, add=office.reserve_port),
            remove=office.free_port,
        ),
        paths.EDGES: Collection(
            key,
            show=lambda query: office.edges(),
            addition=Addition(cls=operator.AddEdge, add=office.add_edge),
            remove=office.remove_edge,
            acts={"drain": drains.begin, "undrain": drains.end},
        ),
        paths.EDGE_PLACES: Collection(
            key,
            show=lambda query: office.edges(),
            addition=Addition(cls=operator.PlaceEdge, add=office.place_edge),
        ),
        paths.TUNNELS: Collection(
            key,
            show=lambda query: office.tunnels(query.account, query.history),
            remove=office.close_tunnel,
        ),
        paths.GEO: geo,
        paths.DOCTOR: DoctorResource(key, doctor),
        paths.GRANT_KEY: Act(key, records.grant_key),
        paths.ZONE: Act(key, zone.show),
        paths.ZONE_CHECK: Act(key, zone.check),
        paths.ZONE_MEND: Act(key, zone.mend, b"POST"),
    }.items():
        _plant(root, path, resource)
    return root


def _plant(root: JsonResource, path: str, resource: JsonResource) -> None:
    *branches, leaf = path.encode("ascii").lstrip(b"/").split(b"/")
    node = root
    for branch in branches:
        below = node.children.get(branch)
        if below is None:
            below = Nowhere()
            node.putChild(branch, below)
        node = below
    node.putChild(leaf, resource)
