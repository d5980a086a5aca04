"""
``pinggy edge``: the edges that may speak to the core.
"""

from __future__ import annotations

import argparse
import ipaddress

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.tables import short_time
from pinggy.wire import paths
from pinggy.wire.operator import AddEdge, Edges, NewEdge


def grow(tree: Tree) -> None:
    noun = tree.noun("edge", "where clients and visitors connect")
    verb = noun.verb(
        "add", add, "admit an edge and print its secret, once", "eu1 --region eu --address 192.0.2.1 2001:db8::1"
    )
    verb.add_argument("name", metavar="NAME")
    verb.add_argument("--region", metavar="LABEL", required=True, help="its label in the zone")
    verb.add_argument(
        "--address",
        metavar="IP",
        type=_address,
        nargs="+",
        action="extend",
        required=True,
        help="where visitors reach it",
    )
    noun.verb("list", show, "list all edges", "", "--json")


def add(call: Call) -> None:
    options = call.options
    wanted = AddEdge(name=options.name, region=options.region, addresses=tuple(options.address))
    answer = call.core.add(paths.EDGES, wanted, NewEdge)
    edge = answer.message
    call.terminal.show_done(
        answer.body,
        f"This is the secret of edge {edge.name} in region {edge.region}, said only now: put it into its settings.",
        edge.secret.reveal(),
    )


def show(call: Call) -> None:
    answer = call.core.get(paths.EDGES, Edges)
    call.terminal.show_list(
        answer.body,
        ("EDGE", "REGION", "TUNNELS", "SEEN (UTC)", "CREATED (UTC)", "ADDRESSES"),
        [
            (
                each.name,
                each.region,
                each.tunnels,
                short_time(each.seen),
                short_time(each.created),
                ", ".join(each.addresses),
            )
            for each in answer.message.edges
        ],
        "There are no edges: admit one with 'pinggy edge add NAME --region LABEL --address IP'.",
    )


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None
