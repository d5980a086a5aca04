"""
``pinggy port``: public ports that only one account may have.
"""

from __future__ import annotations

import argparse

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.tables import short_time
from pinggy.wire import paths
from pinggy.wire.operator import ReservedPort, ReservedPorts, ReservePort


def grow(tree: Tree) -> None:
    noun = tree.noun("port", "the tcp ports that only one account may have")
    verb = noun.verb("reserve", reserve, "keep a port for an account", "me", "me 20001")
    verb.add_argument("account", metavar="ACCOUNT")
    verb.add_argument("port", metavar="PORT", type=_port, nargs="?", help="without it, any free one of the range")
    verb = noun.verb("list", show, "list reserved ports", "", "--account me")
    verb.add_argument("--account", metavar="ACCOUNT", help="only those of this account")
    verb = noun.verb("release", release, "keep a port no longer", "20001")
    verb.add_argument("port", metavar="PORT", type=_port)


def reserve(call: Call) -> None:
    wanted = ReservePort(account=call.options.account, port=call.options.port)
    answer = call.core.add(paths.PORTS, wanted, ReservedPort)
    port = answer.message
    call.terminal.show_done(answer.body, f"Port {port.port} is kept for account {port.account}.", str(port.port))


def show(call: Call) -> None:
    answer = call.core.get(paths.PORTS, ReservedPorts, account=call.options.account)
    call.terminal.show_list(
        answer.body,
        ("PORT", "ACCOUNT", "CREATED (UTC)"),
        [(each.port, each.account, short_time(each.created)) for each in answer.message.ports],
        "No ports are reserved: keep one with 'pinggy port reserve ACCOUNT'.",
    )


def release(call: Call) -> None:
    body = call.core.take_away(paths.PORTS, str(call.options.port))
    call.terminal.show_done(body, f"Port {call.options.port} is kept no longer.")


def _port(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text[:6]) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)
