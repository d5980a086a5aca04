"""
``pinggy name``: names that only one account may have.
"""

from __future__ import annotations

from pinggy.cli.arguments import Call, Tree
from pinggy.cli.tables import short_time
from pinggy.wire import paths
from pinggy.wire.operator import ReservedName, ReservedNames, ReserveName


def grow(tree: Tree) -> None:
    noun = tree.noun("name", "the names that only one account may have")
    verb = noun.verb("reserve", reserve, "keep a name for an account", "me blog")
    verb.add_argument("account", metavar="ACCOUNT")
    verb.add_argument("name", metavar="NAME", help="one label, without the domain")
    verb = noun.verb("list", show, "list reserved names", "", "--account me")
    verb.add_argument("--account", metavar="ACCOUNT", help="only those of this account")
    verb = noun.verb("release", release, "keep a name no longer", "blog")
    verb.add_argument("name", metavar="NAME")


def reserve(call: Call) -> None:
    wanted = ReserveName(account=call.options.account, name=call.options.name)
    answer = call.core.add(paths.NAMES, wanted, ReservedName)
    name = answer.message
    call.terminal.show_done(answer.body, f"The name {name.name} is kept for account {name.account}.")


def show(call: Call) -> None:
    answer = call.core.get(paths.NAMES, ReservedNames, account=call.options.account)
    call.terminal.show_list(
        answer.body,
        ("NAME", "ACCOUNT", "CREATED (UTC)"),
        [(each.name, each.account, short_time(each.created)) for each in answer.message.names],
        "No names are reserved: keep one with 'pinggy name reserve ACCOUNT NAME'.",
    )


def release(call: Call) -> None:
    body = call.core.take_away(paths.NAMES, call.options.name)
    call.terminal.show_done(body, f"The name {call.options.name} is kept no longer.")
