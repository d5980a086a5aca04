"""
``pinggy doctor``: is all well, and would this tunnel serve a visitor?
"""

from __future__ import annotations

import argparse
import shutil
from urllib.parse import quote

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.doctor_view import lines
from pinggy.cli.failure import CommandFailed
from pinggy.wire import paths
from pinggy.wire.codec import encode
from pinggy.wire.doctor import Diagnosis, State

_WIDEST = 100
_NARROWEST = 40
_USUAL = 80


def grow(tree: Tree) -> None:
    parser = tree.alone(
        "doctor",
        look,
        "say what is well and what is not: of the whole service, or of one tunnel from end to end",
        "",
        "blog",
        "3f9a01bc --json",
    )
    parser.add_argument("tunnel", metavar="TUNNEL", nargs="?", help="its id, its name or its host")
    parser.add_argument(
        "--port", metavar="PORT", type=_port, default=443, help="the public port of https there; else 443"
    )


def look(call: Call) -> None:
    """Status 1 where something is wrong."""
    tunnel = call.options.tunnel
    if tunnel is None:
        answer = call.core.get(paths.DOCTOR, Diagnosis)
        found, body = answer.message, answer.body
    else:
        found = call.core.get(f"{paths.DOCTOR}/{quote(tunnel, safe='', errors='replace')}", Diagnosis).message
        # Looked for now: it takes a library that other commands do not need.
        from pinggy.cli.doctor_here import seen_from_here

        found = seen_from_here(found, call.options.port)
        body = encode(found)
    width = min(max(shutil.get_terminal_size((_USUAL, 24)).columns, _NARROWEST), _WIDEST)
    call.terminal.show_text(body, lines(found, width))
    if not found.well:
        wrong = sum(each.state is State.WRONG for section in found.sections for each in section.findings)
        raise CommandFailed("One thing is wrong." if wrong == 1 else f"{wrong} things are wrong.")
    call.terminal.explain("All is well.")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)
