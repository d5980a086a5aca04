"""
``pinggy edge``: the edges that may speak to the core.
"""

from __future__ import annotations

import argparse
import ipaddress
from pathlib import Path
from urllib.parse import quote

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.edge_file import EXAMPLES, edge_file, servers_of_core
from pinggy.cli.failure import CommandFailed
from pinggy.cli.places import Place, parse_place
from pinggy.cli.tables import short_time
from pinggy.wire import paths
from pinggy.wire.messages import Done
from pinggy.wire.operator import AddEdge, Edge, Edges, NewEdge, PlaceEdge


def grow(tree: Tree) -> None:
    noun = tree.noun("edge", "where clients and visitors connect")
    verb = noun.verb(
        "add",
        add,
        "admit an edge and print its settings file, whose secret is said only once",
        """eu1 --region eu --address 192.0.2.1 2001:db8::1 --core-url https://ns1.a.example.com:7443 \\
      --core-settings /etc/pinggy/core.toml > edge.toml""",
        "eu1 --region eu --address 192.0.2.1 --at 53.35,-6.26 --aws-region eu-west-1 --secret-only",
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
    _place_arguments(verb)
    verb.add_argument("--core-url", metavar="URL", type=_core_url, help="where the edge reaches the core; else as here")
    verb.add_argument(
        "--core-settings", metavar="FILE", help="the core's settings: the servers of the zone are taken from there"
    )
    verb.add_argument("--secret-only", action="store_true", help="print nothing but its secret")
    noun.verb("list", show, "list all edges", "", "--json")
    verb = noun.verb(
        "place",
        put,
        "say where an edge is, so that clients find the nearest one; without an option, that nobody knows",
        "eu1 --at 53.35,-6.26 --aws-region eu-west-1",
        "eu1",
    )
    verb.add_argument("name", metavar="NAME")
    _place_arguments(verb)
    verb = noun.verb(
        "drain", drain, "take an edge out of service: no new tunnels, those that are there move to others", "eu1"
    )
    verb.add_argument("name", metavar="NAME")
    verb = noun.verb("undrain", undrain, "let an edge that was drained have tunnels again", "eu1")
    verb.add_argument("name", metavar="NAME")
    verb = noun.verb(
        "remove", remove, "admit an edge no longer: its secret is refused, what it had leaves the zone", "eu1"
    )
    verb.add_argument("name", metavar="NAME")


def add(call: Call) -> None:
    options = call.options
    latitude, longitude = options.at
    wanted = AddEdge(
        name=options.name,
        region=options.region,
        addresses=tuple(options.address),
        latitude=latitude,
        longitude=longitude,
        aws_region=options.aws_region,
    )
    # Before anything is done: what fails after it would lose the secret.
    named = None if options.core_settings is None else servers_of_core(Path(options.core_settings))
    core = call.core
    answer = core.add(paths.EDGES, wanted, NewEdge)
    edge = answer.message
    if options.secret_only:
        call.terminal.show_done(
            answer.body,
            f"This is the secret of edge {edge.name} in region {edge.region}, said only now: put it into its settings.",
            edge.secret.reveal(),
        )
        return
    place = options.core_url or core.place
    settings = edge_file(edge.name, edge.region, wanted.addresses, place.url, edge.secret, named or EXAMPLES)
    call.terminal.show_text(answer.body, settings.splitlines())
    call.terminal.explain(*_next_steps(edge, place, has_servers=named is not None))


def put(call: Call) -> None:
    options = call.options
    latitude, longitude = options.at
    answer = call.core.add(
        paths.EDGE_PLACES,
        PlaceEdge(name=options.name, latitude=latitude, longitude=longitude, aws_region=options.aws_region),
        Done,
    )
    call.terminal.show_done(answer.body, f"Edge {options.name} is found there.")


def remove(call: Call) -> None:
    body = call.core.take_away(paths.EDGES, call.options.name)
    call.terminal.show_done(body, f"Edge {call.options.name} is admitted no longer.")


def drain(call: Call) -> None:
    answer = call.core.ask(_act(call.options.name, "drain"), Done)
    call.terminal.show_done(answer.body, f"Edge {call.options.name} takes no new tunnels, and sends its own away.")


def undrain(call: Call) -> None:
    answer = call.core.ask(_act(call.options.name, "undrain"), Done)
    call.terminal.show_done(answer.body, f"Edge {call.options.name} takes tunnels again.")


def _act(name: str, act: str) -> str:
    return f"{paths.EDGES}/{quote(name, safe='', errors='replace')}/{act}"


def show(call: Call) -> None:
    answer = call.core.get(paths.EDGES, Edges)
    call.terminal.show_list(
        answer.body,
        ("EDGE", "REGION", "STATE", "TUNNELS", "SEEN (UTC)", "CREATED (UTC)", "AT", "AWS REGION", "ADDRESSES"),
        [
            (
                each.name,
                each.region,
                "draining" if each.draining else None if each.seen is None else "serving",
                each.tunnels,
                short_time(each.seen),
                short_time(each.created),
                _at(each),
                each.aws_region,
                ", ".join(each.addresses),
            )
            for each in answer.message.edges
        ],
        "There are no edges: admit one with 'pinggy edge add NAME --region LABEL --address IP'.",
    )


def _next_steps(edge: NewEdge, core: Place, *, has_servers: bool) -> list[str]:
    steps = [
        f"These are the settings of edge {edge.name} in region {edge.region}, with its secret, said only now. "
        "On its machine:",
        "- keep them as /etc/pinggy/edge.toml (chown root:pinggy-edge, chmod 640);",
        "- copy the service's SSH host keys and its wildcard certificate to the paths that it names;",
    ]
    if core.is_loopback:
        steps.append(f"- its core.url {core.url} is of this machine: on another, say where that reaches the core;")
    if not has_servers:
        steps.append("- its zone.servers are examples: put in yours (--core-settings takes them from core.toml);")
    return [*steps, "- systemctl enable --now pinggy-edge"]


def _place_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--at",
        metavar="LAT,LONG",
        type=_degrees,
        default=(None, None),
        help="where it is: degrees north and east, --at=-33.87,151.21 where the first is negative",
    )
    verb.add_argument("--aws-region", metavar="REGION", default="", help="the region of Amazon's that is near it")


def _degrees(text: str) -> tuple[float, float]:
    try:
        latitude, longitude = (float(each) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not LAT,LONG in degrees, such as 53.35,-6.26") from None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise argparse.ArgumentTypeError(f"{text!r} is not on the earth: -90 to 90 north, -180 to 180 east")
    return latitude, longitude


def _at(edge: Edge) -> str:
    return "" if edge.latitude is None else f"{edge.latitude:g},{edge.longitude:g}"


def _core_url(text: str) -> Place:
    try:
        return parse_place(text, "The core's URL", "the edge's secret", "https://ns1.a.example.com:7443")
    except CommandFailed as failure:
        raise argparse.ArgumentTypeError(str(failure)) from None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None
